#include "storage/log_files.h"

#include <fmt/core.h>

#include <charconv>

namespace millrace {
namespace {

constexpr std::size_t digits = 20;

std::optional<Offset> parse(std::string_view name, std::string_view suffix) {
  if (name.size() != digits + suffix.size() || name.substr(digits) != suffix) return std::nullopt;
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + digits, value);
  if (error != std::errc{} || end != name.data() + digits || Offset{value} > offset_max)
    return std::nullopt;
  return Offset{value};
}

}  // namespace

std::string segment_file_name(Offset base) { return fmt::format("{:020}.segment", base.value); }
std::string index_file_name(Offset base) { return fmt::format("{:020}.index", base.value); }

std::optional<Offset> parse_segment_file_name(std::string_view name) {
  return parse(name, ".segment");
}
std::optional<Offset> parse_index_file_name(std::string_view name) { return parse(name, ".index"); }

std::string join_path(std::string_view directory, std::string_view name) {
  return directory.empty() ? std::string(name) : fmt::format("{}/{}", directory, name);
}

std::string free_quarantine_path(const TopicId& topic, PartitionIndex partition,
                                 std::string_view file_name,
                                 const std::function<bool(const std::string& path)>& is_taken) {
  const std::string path =
      fmt::format("{}/{}-{}-{}", quarantine_directory, topic.to_hex(), partition, file_name);
  std::string free = path;
  for (int i = 1; is_taken(free); ++i) free = fmt::format("{}.{}", path, i);
  return free;
}

}  // namespace millrace
