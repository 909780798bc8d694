// Faults met while reading, and before: which of them reading goes on behind, and how they are
// told.
//
// corrupt and offset_out_of_range name the offsets that cannot be read; the reader goes on behind
// them. They are said on standard error and make the command fail at its end, so that a hole is
// never taken for the whole.
#pragma once

#include "context.h"
#include "parse_values.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace millrace::cli {

// Reading could not begin; an offset that is not there comes with what to say instead. Answers
// exit_code::failed.
int report_unreadable(std::string_view what_failed, const TopicPath& path,
                      const ClientError& error);
// A range that ends before it begins; answers exit_code::usage.
int report_reversed(std::string_view range);

class ReadFaults {
 public:
  explicit ReadFaults(std::string topic) : topic_(std::move(topic)) {}

  // True: said, go on reading. False: said, stop.
  bool survives(const ClientError& error);
  void on_progress() { repeated_ = 0; }
  bool any() const { return any_; }

 private:
  std::string topic_;
  bool any_ = false;
  // The same fault without a batch between: the reader does not get past it.
  int repeated_ = 0;
  std::string last_text_;  // names the partition, too
};

}  // namespace millrace::cli
