#include "tests/sim/sim_admin.h"

#include <fmt/core.h>

#include <algorithm>

namespace millrace::sim {

void SimAdmin::act() {
  const bool come_and_go = host_.options.has(FaultClass::topics);
  const std::uint64_t what = random().below(20);
  if (what < 3 && come_and_go) {
    const auto name = fmt::format("t{}", random().below(host_.options.topics + 1));
    if (!oracle().find_standing(name)) create(name);
    return;
  }
  if (what < 5 && come_and_go) return remove();
  if (what < 9) return trim();
  if (what < 15) return list_offsets();
  ask();
}

void SimAdmin::create(std::string name) {
  TopicRecord topic;
  topic.name = std::move(name);
  topic.partitions = static_cast<std::uint32_t>(1 + random().below(host_.options.partitions_max));
  topic.log = host_.options.broker.topic_defaults;
  topic.live = host_.options.broker.live_by_default;
  topic.parts.resize(topic.partitions);
  CreateTopicRequest body;
  body.partitions = topic.partitions;
  if (random().chance(1, 4)) {
    topic.live = !topic.live;
    body.settings.push_back(topic.live ? "live=true" : "live=false");
  }
  if (random().chance(1, 4)) {
    topic.log.retention_bytes = 64 * KiB;
    body.settings.push_back("retention_bytes=64 KiB");
  }
  oracle().topics.push_back(std::move(topic));
  body.name = oracle().topics.back().name;
  host_.send(record(RequestKind::create, oracle().topics.size() - 1), body);
}

void SimAdmin::remove() {
  const auto topic = host_.any_topic();
  if (!topic) return;
  TopicRecord& record_of = oracle().topics[*topic];
  const TopicRef ref{record_of.name, record_of.id};
  record_of.state = TopicRecord::State::deleting;
  host_.send(record(RequestKind::remove, *topic), DeleteTopicRequest{ref});
}

void SimAdmin::trim() {
  const auto topic = host_.any_topic();
  if (!topic) return;
  const auto partition =
      static_cast<PartitionIndex>(random().below(oracle().topics[*topic].partitions));
  PartitionRecord& part = oracle().topics[*topic].parts[partition];
  TrimTopicRequest body{host_.topic_ref(*topic), partition, {}};
  if (random().chance(1, 8)) {
    body.where = {Where::Kind::end, 0};
    part.trim_asked = UINT64_MAX;
  } else {
    // Mostly a little: what is trimmed cannot be checked any more.
    const std::uint64_t reach = part.end_told + 3 - std::min(part.start_told, part.end_told);
    const std::uint64_t to = part.start_told + random().below(1 + reach / (1 + random().below(4)));
    body.where = {Where::Kind::offset, static_cast<std::int64_t>(to)};
    part.trim_asked = std::max(part.trim_asked, to);
  }
  host_.send(record(RequestKind::trim, *topic, partition), body);
}

void SimAdmin::list_offsets() {
  const auto topic = host_.any_topic();
  if (!topic) return;
  const auto partition =
      static_cast<PartitionIndex>(random().below(oracle().topics[*topic].partitions));
  const PartitionRecord& part = oracle().topics[*topic].parts[partition];
  RequestRecord request = record(RequestKind::list_offsets, *topic, partition);
  request.offset = part.end_told;
  request.where.kind = static_cast<Where::Kind>(random().below(5));
  request.where.value = static_cast<std::int64_t>(random().below(part.end_told + 3));
  if (request.where.kind == Where::Kind::time) {
    request.where.value = host_.wall_now.ns;
    const auto known = part.placed.lower_bound(random().below(part.end_told + 1));
    if (known != part.placed.end()) {
      request.where.value =
          known->second.append_time.ns + static_cast<std::int64_t>(random().below(3)) - 1;
    }
  }
  host_.send(request, ListOffsetsRequest{host_.topic_ref(*topic), partition, request.where});
}

void SimAdmin::ask() {
  if (random().chance(1, 6)) {
    host_.send(record(RequestKind::other), PingRequest{});
    return;
  }
  if (random().chance(1, 4)) {
    host_.send(record(RequestKind::list), ListTopicsRequest{});
    return;
  }
  const auto topic = host_.any_topic();
  if (!topic) return;
  if (random().chance(1, 3)) {
    host_.send(record(RequestKind::other, *topic), MetadataRequest{host_.topic_ref(*topic)});
  } else {
    host_.send(record(RequestKind::describe, *topic),
               DescribeTopicRequest{host_.topic_ref(*topic)});
  }
}

}  // namespace millrace::sim
