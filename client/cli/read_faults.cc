#include "read_faults.h"

#include <fmt/format.h>

namespace millrace::cli {

bool ReadFaults::survives(const ClientError& error) {
  static constexpr std::uint16_t offset_out_of_range = 25, corrupt = 62;
  static constexpr int repeats_max = 3;
  any_ = true;
  const bool has_hole = error.code == corrupt || error.code == offset_out_of_range;
  repeated_ = error.range_begin == last_begin_ ? repeated_ + 1 : 0;
  last_begin_ = error.range_begin;
  if (!has_hole || repeated_ >= repeats_max) {
    report(fmt::format("cannot read {}", topic_), error);
    return false;
  }
  report(fmt::format("hole in {}, reading goes on behind it", topic_), error);
  return true;
}

}  // namespace millrace::cli
