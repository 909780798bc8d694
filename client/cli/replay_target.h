// Where replayed events go: a topic, a file that appears when it is whole, standard output, or
// nowhere.
#pragma once

#include "commands.h"
#include "event_format.h"
#include "millrace/event.h"

#include <cstdint>
#include <memory>
#include <string>

namespace millrace::cli {

class ReplayTarget {
 public:
  virtual ~ReplayTarget() = default;
  // False: stop; finish() says why, if it is a failure.
  virtual bool put(const EventView& event) = 0;
  // What was put before may be seen by others from now on; called before a pause of the pace.
  virtual void flush() {}
  // Completes (`whole`: every event was put) or takes back. Answers the exit code of its part,
  // after a report.
  virtual int finish(bool whole) = 0;
};

// Null: the target cannot be used, which has been reported.
std::unique_ptr<ReplayTarget> open_topic_target(const Client& client,
                                                const ReplayArguments& arguments,
                                                std::uint32_t source_partitions);
std::unique_ptr<ReplayTarget> open_file_target(const ReplayArguments& arguments,
                                               EventFormat format);
std::unique_ptr<ReplayTarget> make_output_target(EventFormat format);
// Of a dry run: looks at the target that was named, and leaves it as it is.
std::unique_ptr<ReplayTarget> open_counting_target(const Client& client,
                                                   const ReplayArguments& arguments);

}  // namespace millrace::cli
