#include "tests/sim/sim_client.h"

#include "schemas/batch_body.h"

#include <fmt/core.h>

namespace millrace::sim {

void ClientHost::abandon(std::uint64_t request) {
  const auto found = oracle.requests.find(request);
  if (found != oracle.requests.end()) found->second.is_abandoned = true;
}

std::optional<TopicIndex> ClientHost::any_topic() {
  std::vector<TopicIndex> standing;
  for (TopicIndex i = 0; i < oracle.topics.size(); ++i) {
    const TopicRecord& topic = oracle.topics[i];
    if (topic.state == TopicRecord::State::standing && topic.is_served) standing.push_back(i);
  }
  if (standing.empty()) return std::nullopt;
  return standing[random->below(standing.size())];
}

TopicRef ClientHost::topic_ref(TopicIndex topic) {
  const TopicRecord& record = oracle.topics[topic];
  const bool sure = record.state == TopicRecord::State::standing && random->chance(1, 2);
  return {record.name, sure ? TopicId{} : record.id};
}

RequestRecord SimClient::record(RequestKind kind, TopicIndex topic, PartitionIndex partition) {
  RequestRecord record;
  record.kind = kind;
  record.client = handle_;
  record.topic = topic;
  record.partition = partition;
  return record;
}

void fill_batch(SentBatch& batch, Random& random, std::uint32_t events_max,
                std::uint32_t payload_bytes_max) {
  BatchBodyBuilder body;
  const auto time = Oracle::event_time_zero + static_cast<std::int64_t>(batch.tag);
  batch.event_count = static_cast<std::uint32_t>(1 + random.below(events_max));
  for (std::uint32_t i = 0; i < batch.event_count; ++i) {
    std::string payload = fmt::format("{}.{}.", batch.tag, i);
    const std::uint64_t filler = random.below(payload_bytes_max + 1);
    std::uint64_t word = batch.tag * 0x9E3779B97F4A7C15ull + i;
    for (std::uint64_t n = 0; n < filler; ++n) {
      word = word * 6364136223846793005ull + 1442695040888963407ull;
      payload += static_cast<char>('a' + (word >> 59) % 26);
    }
    const std::string key = random.chance(1, 2) ? fmt::format("key-{}", i) : std::string();
    body.add(as_bytes(key), as_bytes(payload), {}, time);
  }
  batch.bytes = body.finish(batch_layout::header_bytes);
  BatchDraft draft;
  draft.raw_bytes = static_cast<std::uint32_t>(batch.bytes.size() - batch_layout::header_bytes);
  draft.event_count = batch.event_count;
  draft.max_event_time = WallTime{time};
  draft.producer_id = batch.producer_id;
  draft.producer_epoch = batch.epoch;
  draft.sequence = batch.sequence;
  seal_batch(batch.bytes, draft);
}

}  // namespace millrace::sim
