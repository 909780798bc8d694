// SIGINT and SIGTERM as a wish to finish: commands look at interrupted() between steps and end
// cleanly. A second signal ends the process at once. SIGPIPE is ignored; writing to a closed pipe
// shows as OutputBuffer::closed().
#pragma once

namespace millrace::cli {

void install_signal_handlers();
bool interrupted();
// Readable as soon as a signal has come; to be polled beside an input.
int interrupt_descriptor();

}  // namespace millrace::cli
