// Names of the files in a log's directory: made and parsed here and nowhere else.
//
//   00000000000000001000.segment   the segment whose first event has offset 1000
//   00000000000000001000.index     its index
//   checkpoint                     two alternating states
#pragma once

#include "storage/base/ids.h"

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace millrace {

inline constexpr std::string_view checkpoint_file_name = "checkpoint";
// Files that carry our names but not our identity are moved here (below the data directory), never
// deleted.
inline constexpr std::string_view quarantine_directory = "quarantine";

std::string segment_file_name(Offset base);
std::string index_file_name(Offset base);
// The base offset if `name` is exactly such a name.
std::optional<Offset> parse_segment_file_name(std::string_view name);
std::optional<Offset> parse_index_file_name(std::string_view name);
std::string join_path(std::string_view directory, std::string_view name);
// Where a file of a log goes in quarantine/, below the data directory: <topic id>-<partition>-<its
// name>, with a number behind it where that is taken, so that nothing there is ever replaced.
std::string free_quarantine_path(const TopicId& topic, PartitionIndex partition,
                                 std::string_view file_name,
                                 const std::function<bool(const std::string& path)>& is_taken);

}  // namespace millrace
