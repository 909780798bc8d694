// Where a topic lies below the data directory: made and parsed here and nowhere else.
//
//   topics/<id>             a topic; the set of these is the catalog
//   topics/<id>.creating    not a topic yet; dropped at start
//   topics/<id>.deleted     not a topic any more; its removal is finished at start
//   deleted/<id>            the same, where topics/ had no room for the longer name
//   topics/<id>/topic.meta.0, topic.meta.1, and one directory per partition, named by its number
#pragma once

#include "storage/base/ids.h"

#include <optional>
#include <string>
#include <string_view>

namespace millrace {

inline constexpr std::string_view topics_directory = "topics";
// On a full disk topics/ may be unable to take one name more, and a rename adds the new one first.
// This directory is empty but for what is being removed, so that its first block has room.
inline constexpr std::string_view deleted_directory = "deleted";
inline constexpr std::size_t topic_meta_copies = 2;

enum class TopicDirectory { topic, creating, deleted };

std::string topic_path(const TopicId& id, TopicDirectory kind = TopicDirectory::topic);
std::string deleted_topic_path(const TopicId& id);
std::string topic_meta_path(std::string_view topic_directory, std::size_t copy);
std::string partition_path(std::string_view topic_directory, PartitionIndex partition);

struct ParsedTopicDirectory {
  TopicId id;
  TopicDirectory kind = TopicDirectory::topic;
};
// `name` without the leading "topics/"; nothing if we never make such a name.
std::optional<ParsedTopicDirectory> parse_topic_directory(std::string_view name);
// The number if `name` is exactly a partition's directory.
std::optional<PartitionIndex> parse_partition_directory(std::string_view name);

}  // namespace millrace
