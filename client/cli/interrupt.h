// SIGINT and SIGTERM as a wish to finish: commands that have something to finish look at
// interrupted() between steps and end cleanly. Before they say so, and in commands that never do, a
// signal ends the process at once with exit_code::interrupted: waiting for a broker that does not
// answer has nothing to finish. A second signal always ends the process at once. SIGPIPE is
// ignored; writing to a closed pipe shows as OutputBuffer::closed().
#pragma once

namespace millrace::cli {

void install_signal_handlers();
// A standard stream that is closed is opened in the wrong direction, so that its use fails: its
// number would go to the next socket or file. To be called before anything is opened.
void occupy_standard_streams();
// From now on a first signal is only noted.
void finish_on_interrupt();
bool interrupted();
// Readable as soon as a signal has come; to be polled beside an input.
int interrupt_descriptor();

}  // namespace millrace::cli
