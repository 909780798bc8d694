#include "topic.h"

#include "storage/format/batch_layout.h"

namespace millrace::detail {

Outcome<Topic> fetch_topic(Connection& connection, const std::string& name) {
  auto reply = connection.call([&](std::uint64_t id) { return encode_metadata(id, name); });
  if (!reply) return refuse(std::move(reply.error()));
  const wire::TopicInfo* info = reply->reply().body_as_TopicInfo();
  // A partition count sizes our tables, so it is not taken on faith.
  constexpr std::uint32_t partitions_limit = 1u << 20;
  if (info == nullptr || info->partitions() == 0 || info->partitions() > partitions_limit)
    return unexpected_reply("metadata");
  Topic topic;
  topic.key = {name, topic_id_of(info->id())};
  topic.partitions = info->partitions();
  topic.batch_bytes_max = info->batch_bytes_max();
  if (topic.batch_bytes_max <= batch_layout::header_bytes)
    topic.batch_bytes_max = batch_layout::body_bytes_limit;
  return topic;
}

}  // namespace millrace::detail
