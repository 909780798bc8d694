#include "broker/meta/topic_paths.h"

#include <fmt/core.h>

#include <charconv>

namespace millrace {
namespace {

constexpr std::string_view creating_suffix = ".creating";
constexpr std::string_view deleted_suffix = ".deleted";
constexpr std::size_t id_digits = 32;

std::string_view suffix_of(TopicDirectory kind) {
  switch (kind) {
    case TopicDirectory::topic: return "";
    case TopicDirectory::creating: return creating_suffix;
    case TopicDirectory::deleted: return deleted_suffix;
  }
  return "";
}

}  // namespace

std::string topic_path(const TopicId& id, TopicDirectory kind) {
  return fmt::format("{}/{}{}", topics_directory, id.to_hex(), suffix_of(kind));
}

std::string deleted_topic_path(const TopicId& id) {
  return fmt::format("{}/{}", deleted_directory, id.to_hex());
}

std::string topic_meta_path(std::string_view topic_directory, std::size_t copy) {
  return fmt::format("{}/topic.meta.{}", topic_directory, copy);
}

std::string partition_path(std::string_view topic_directory, PartitionIndex partition) {
  return fmt::format("{}/{}", topic_directory, partition);
}

std::optional<ParsedTopicDirectory> parse_topic_directory(std::string_view name) {
  ParsedTopicDirectory parsed;
  const auto digits = name.substr(0, id_digits);
  // Upper-case digits are not what to_hex writes, so such a directory is not ours.
  if (!Uuid::from_hex(digits, parsed.id) || parsed.id.to_hex() != digits) return std::nullopt;
  const auto suffix = name.substr(id_digits);
  for (const auto kind :
       {TopicDirectory::topic, TopicDirectory::creating, TopicDirectory::deleted}) {
    parsed.kind = kind;
    if (suffix == suffix_of(kind)) return parsed;
  }
  return std::nullopt;
}

std::optional<PartitionIndex> parse_partition_directory(std::string_view name) {
  PartitionIndex number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error != std::errc{} || end != name.data() + name.size()) return std::nullopt;
  if (fmt::format("{}", number) != name) return std::nullopt;
  return number;
}

}  // namespace millrace
