#include "broker/topic_requests.h"

#include "broker/clients.h"

namespace millrace {

void TopicRequests::create(ClientHandle client, std::uint64_t request_id,
                           const CreateTopicRequest& request) {
  Topics::NewTopic topic;
  topic.name = request.name;
  topic.partitions = request.partitions;
  topic.settings.assign(request.settings.begin(), request.settings.end());
  topics_.create(std::move(topic), [this, client, request_id](Result<Topic*> created) {
    if (!created) return core_.clients.refuse(client, request_id, created.error());
    core_.clients.send(client, request_id, (*created)->info());
  });
}

void TopicRequests::list(ClientHandle client, std::uint64_t request_id) {
  TopicListReply reply;
  for (const auto& [name, topic] : topics_.catalog().by_name()) {
    const bool stands = topic->life == Topic::Life::open || topic->life == Topic::Life::failed;
    if (!stands) continue;
    reply.topics.push_back(
        {name, topic->meta.id, topic->meta.partitions, topic->bytes(), topic->events()});
  }
  core_.clients.send(client, request_id, std::move(reply));
}

void TopicRequests::describe(ClientHandle client, std::uint64_t request_id,
                             const DescribeTopicRequest& request) {
  const auto topic = topics_.find(request.topic);
  if (!topic) return core_.clients.refuse(client, request_id, topic.error());
  TopicInfoReply reply = (*topic)->info();
  for (const auto& partition : (*topic)->partitions)
    reply.partition_infos.push_back(partition->info());
  core_.clients.send(client, request_id, std::move(reply));
}

void TopicRequests::metadata(ClientHandle client, std::uint64_t request_id,
                             const MetadataRequest& request) {
  const auto topic = topics_.find(request.topic);
  if (!topic) return core_.clients.refuse(client, request_id, topic.error());
  core_.clients.send(client, request_id, (*topic)->info());
}

void TopicRequests::remove(ClientHandle client, std::uint64_t request_id,
                           const DeleteTopicRequest& request) {
  topics_.remove(request.topic, [this, client, request_id](Result<void> result) {
    if (!result) return core_.clients.refuse(client, request_id, result.error());
    core_.clients.send(client, request_id, DoneReply{});
  });
}

void TopicRequests::answer_offset(ClientHandle client, std::uint64_t request_id,
                                  const Partition& partition, const Result<Offset>& offset) {
  if (!offset) return core_.clients.refuse(client, request_id, offset.error());
  core_.clients.send(
      client, request_id,
      OffsetListReply{*offset, partition.log().start_offset(), partition.committed_end()});
}

void TopicRequests::list_offsets(ClientHandle client, std::uint64_t request_id,
                                 const ListOffsetsRequest& request) {
  const auto partition = topics_.find_partition(request.topic, request.partition);
  if (!partition) return core_.clients.refuse(client, request_id, partition.error());
  lookups_.begin(**partition, request.where,
                 [this, client, request_id, &at = **partition](auto offset) {
                   answer_offset(client, request_id, at, offset);
                 });
}

void TopicRequests::trim(ClientHandle client, std::uint64_t request_id,
                         const TrimTopicRequest& request) {
  const auto partition = topics_.find_partition(request.topic, request.partition);
  if (!partition) return core_.clients.refuse(client, request_id, partition.error());
  lookups_.begin(**partition, request.where,
                 [this, client, request_id, &at = **partition](auto offset) {
                   if (!offset) return answer_offset(client, request_id, at, offset);
                   at.trim(*offset, [this, client, request_id, &at](Result<Offset> start) {
                     answer_offset(client, request_id, at, start);
                   });
                 });
}

}  // namespace millrace
