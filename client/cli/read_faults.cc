#include "read_faults.h"

#include <fmt/format.h>

namespace millrace::cli {
namespace {

constexpr std::uint16_t offset_out_of_range = 25, corrupt = 62;

}  // namespace

int report_unreadable(std::string_view what_failed, const TopicPath& path,
                      const ClientError& error) {
  if (error.code != offset_out_of_range) return report(what_failed, error);
  ClientError with_hint = error;
  with_hint.text += ", as in --offset start";
  if (!path.partition) with_hint.text += fmt::format("; {}/N names one partition", path.topic);
  return report(what_failed, with_hint);
}

int report_reversed(std::string_view range) {
  return report_usage(
      fmt::format("--offset {}: the range ends before it begins; write BEGIN:END", range));
}

bool ReadFaults::survives(const ClientError& error) {
  static constexpr int repeats_max = 3;
  any_ = true;
  const bool has_hole = error.code == corrupt || error.code == offset_out_of_range;
  repeated_ = error.text == last_text_ ? repeated_ + 1 : 0;
  last_text_ = error.text;
  if (!has_hole || repeated_ >= repeats_max) {
    report(fmt::format("cannot read {}", topic_), error);
    return false;
  }
  report(fmt::format("hole in {}, reading goes on behind it", topic_), error);
  return true;
}

}  // namespace millrace::cli
