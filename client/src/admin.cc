#include "millrace/admin.h"

#include "connection.h"

namespace millrace {
namespace {

using detail::element_of;
using detail::OutgoingRequest;
using detail::refuse;
using detail::ReplyMessage;

// As element_of.
std::string at_or_empty(const flatbuffers::Vector<flatbuffers::Offset<flatbuffers::String>>* column,
                        std::uint32_t i) {
  return column != nullptr && i < column->size() ? column->Get(i)->str() : std::string();
}

PartitionDescription describe_partition(const wire::TopicInfo& info, std::uint32_t partition) {
  PartitionDescription out;
  out.partition = partition;
  out.start_offset = element_of(info.start_offsets(), partition);
  out.end_offset = element_of(info.end_offsets(), partition);
  out.bytes = element_of(info.bytes(), partition);
  out.segments = element_of(info.segments(), partition);
  out.state = at_or_empty(info.states(), partition);
  out.last_append_time_ns = element_of(info.last_append_times(), partition);
  out.corrupt_events = element_of(info.corrupt_events(), partition);
  return out;
}

Outcome<TopicDescription> description_of(Outcome<ReplyMessage> reply, const char* request) {
  if (!reply) return refuse(std::move(reply.error()));
  const wire::TopicInfo* info = reply->reply().body_as_TopicInfo();
  if (info == nullptr) return detail::unexpected_reply(request);
  TopicDescription out;
  if (info->topic() != nullptr) out.name = info->topic()->str();
  out.id = detail::hex_of(info->id());
  out.partitions = info->partitions();
  out.created_ns = info->created();
  out.batch_bytes_max = info->batch_bytes_max();
  if (info->settings() != nullptr) {
    for (const flatbuffers::String* line : *info->settings()) {
      const std::string text = line->str();
      const std::size_t equals = text.find('=');
      out.settings[text.substr(0, equals)] =
          equals == std::string::npos ? "" : text.substr(equals + 1);
    }
  }
  const std::uint32_t rows = info->start_offsets() == nullptr ? 0 : info->start_offsets()->size();
  for (std::uint32_t i = 0; i < rows; ++i)
    out.partition_descriptions.push_back(describe_partition(*info, i));
  return out;
}

Outcome<OffsetBounds> bounds_of(Outcome<ReplyMessage> reply, const char* request) {
  if (!reply) return refuse(std::move(reply.error()));
  const wire::OffsetList* list = reply->reply().body_as_OffsetList();
  if (list == nullptr) return detail::unexpected_reply(request);
  return OffsetBounds{list->offset(), list->start_offset(), list->end_offset()};
}

}  // namespace

Admin::Admin(const Client& client) : client_(client) {}

Outcome<TopicDescription> Admin::create_topic(const std::string& name, std::uint32_t partitions,
                                              const std::map<std::string, std::string>& settings) {
  return description_of(client_.connection()->call(
                            [&](std::uint64_t id) {
                              return detail::encode_create_topic(id, name, partitions, settings);
                            },
                            OutgoingRequest::Kind::once),
                        "create topic");
}

Outcome<std::vector<TopicSummary>> Admin::list_topics() {
  auto reply = client_.connection()->call(detail::encode_list_topics);
  if (!reply) return refuse(std::move(reply.error()));
  const wire::TopicList* list = reply->reply().body_as_TopicList();
  if (list == nullptr) return detail::unexpected_reply("list topics");
  std::vector<TopicSummary> topics;
  const std::uint32_t rows = list->names() == nullptr ? 0 : list->names()->size();
  for (std::uint32_t i = 0; i < rows; ++i) {
    TopicSummary topic;
    topic.name = list->names()->Get(i)->str();
    if (list->ids() != nullptr && i < list->ids()->size())
      topic.id = detail::hex_of(list->ids()->Get(i));
    topic.partitions = element_of(list->partitions(), i);
    topic.bytes = element_of(list->bytes(), i);
    topic.events = element_of(list->events(), i);
    topics.push_back(std::move(topic));
  }
  return topics;
}

Outcome<TopicDescription> Admin::describe_topic(const std::string& name) {
  return description_of(client_.connection()->call([&](std::uint64_t id) {
    return detail::encode_describe_topic(id, name);
  }),
                        "describe topic");
}

Outcome<void> Admin::delete_topic(const std::string& name) {
  auto reply = client_.connection()->call(
      [&](std::uint64_t id) { return detail::encode_delete_topic(id, {name, TopicId{}}); },
      OutgoingRequest::Kind::once);
  if (!reply) return refuse(std::move(reply.error()));
  return {};
}

Outcome<OffsetBounds> Admin::offsets(const std::string& topic, std::uint32_t partition,
                                     Place place) {
  return bounds_of(client_.connection()->call([&](std::uint64_t id) {
    return detail::encode_list_offsets(id, {topic, TopicId{}}, partition, place);
  }),
                   "list offsets");
}

Outcome<OffsetBounds> Admin::trim_topic(const std::string& topic, std::uint32_t partition,
                                        Place before) {
  return bounds_of(client_.connection()->call([&](std::uint64_t id) {
    return detail::encode_trim_topic(id, {topic, TopicId{}}, partition, before);
  }),
                   "trim topic");
}

}  // namespace millrace
