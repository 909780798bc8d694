// Prints events to standard output as consume, tail and replay ask: fast when they come in bulk, at
// once when they trickle.
#pragma once

#include "context.h"
#include "event_format.h"
#include "millrace/reader.h"
#include "output_buffer.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace millrace::cli {

// -f and -o json exclude each other. An error is reported; then nothing is answered and the exit
// code is `usage`.
std::optional<EventFormat> choose_format(const Context& context, const std::string& format);

class EventPrinter {
 public:
  EventPrinter(EventFormat format, int descriptor);

  void print(const EventView& event) {
    format_.append(output_.bytes(), event);
    ++count_;
    output_.end_item();
  }
  // After a batch: what is on a terminal is shown at once.
  void end_batch() {
    if (output_.is_terminal()) output_.flush();
  }
  void flush() { output_.flush(); }

  std::uint64_t count() const { return count_; }
  // The reader went away, or writing failed: stop.
  bool stopped() const { return output_.closed() || output_.error() != 0; }
  // Flushes; answers `code`, or exit_code::failed with a report if writing failed.
  int finish(int code);

 private:
  EventFormat format_;
  OutputBuffer output_;
  std::uint64_t count_ = 0;
};

// The next events of a Reader or LiveReader; none when none came for a quarter of a second, which
// is how often the caller looks at its signals. Without a wait first: while events are at hand the
// output is not flushed.
template <class AnyReader>
Outcome<EventBatch> next_batch(AnyReader& reader, EventPrinter& printer) {
  auto batch = reader.next(std::chrono::milliseconds(0));
  if (!batch || !batch->events.empty()) return batch;
  printer.flush();
  if (printer.stopped()) return batch;
  return reader.next(std::chrono::milliseconds(250));
}

}  // namespace millrace::cli
