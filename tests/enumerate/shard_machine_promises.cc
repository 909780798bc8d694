// What was promised of topics and partitions, against what is there.
#include "tests/enumerate/shard_machine.h"

#include <fmt/core.h>

namespace millrace::test {

void ShardMachine::check() {
  settle();
  std::size_t standing_count = 0;
  for (auto& [name, all] : topics_) {
    check_name(name, all);
    standing_count += standing(name) != nullptr ? 1 : 0;
  }
  settle();
  const auto listed = call(ListTopicsRequest{});
  const auto* list = listed ? std::get_if<TopicListReply>(&*listed) : nullptr;
  require(list != nullptr && list->topics.size() == standing_count,
          "there is a topic that nobody made");
  // A refused creation whose last step failed may leave a second directory of one name.
  require(may_have_twins_ ? disk_.names("topics").size() >= standing_count
                          : disk_.names("topics").size() == standing_count,
          "what is left of other topics was not removed");
}

void ShardMachine::check_name(const std::string& name, std::vector<Incarnation>& all) {
  const auto described = call(DescribeTopicRequest{{name, {}}});
  const auto* info = described ? std::get_if<TopicInfoReply>(&*described) : nullptr;
  require(info != nullptr || code_of(described) == Errc::unknown_topic,
          "describe " + name + ": " + error_of(described));
  // By its id; a creation that was never answered has none that anybody knows.
  const auto found = std::find_if(all.begin(), all.end(), [&](const Incarnation& topic) {
    return info != nullptr && topic.id == info->id;
  });
  bool explained = info == nullptr;
  for (auto& topic : all) {
    const bool unnamed = topic.id == TopicId{} && topic.fate == Fate::creating;
    const bool is_this = found != all.end() ? &topic == &*found : !explained && unnamed;
    if (is_this) {
      require(topic.fate != Fate::gone, "a deleted topic is back: " + name);
      require(info->partition_infos.size() == topic.partitions.size(),
              "a topic has another number of partitions: " + name);
      topic.fate = Fate::stands;
      topic.id = info->id;
      explained = true;
    } else {
      require(topic.fate != Fate::stands, "an acked topic is gone: " + name);
      topic.fate = Fate::gone;
    }
  }
  require(explained, "a topic that nobody made has the name " + name);
  if (info == nullptr) return;
  for (auto& [index, partition] : standing(name)->partitions)
    check_partition(name, *standing(name), index, info->partition_infos.at(index));
}

void ShardMachine::check_partition(const std::string& name, Incarnation& topic,
                                   PartitionIndex index, const PartitionInfo& info) {
  Partition& partition = topic.partitions[index];
  const std::string where = name + "/" + std::to_string(index) + ": ";
  const std::uint64_t start = info.start_offset.value, end = info.end_offset.value;
  require(info.state == "ok", where + info.state);
  require(start >= partition.start, where + "the start moved back");
  if (!partition.acked.empty())
    require(end > partition.acked.rbegin()->first, where + "acked events are gone");
  const auto events = read(name, index, start, end);
  require(events.size() == end - start, where + "the offsets have a gap");
  std::set<std::string> seen;
  std::map<std::uint64_t, std::string> now;
  for (std::uint64_t i = 0; i < events.size(); ++i) {
    const std::string& payload = events[i];
    const auto promised = partition.acked.find(start + i);
    if (promised != partition.acked.end()) {
      require(promised->second == payload,
              fmt::format("{}another event at an acked offset: {}", where, payload));
    } else {
      require(
          partition.unknown.contains(payload),
          fmt::format("{}an event that was refused, or is another topic's: {}", where, payload));
    }
    require(seen.insert(payload).second,
            fmt::format("{}an event is there twice: {}", where, payload));
    now.emplace(start + i, payload);
  }
  for (const auto& [offset, payload] : partition.acked)
    require(offset < start || now.contains(offset), where + "an acked event is missing");
  partition.acked = std::move(now);
  partition.start = start;
  for (const auto& payload : partition.unknown) {
    if (!seen.contains(payload)) partition.never.insert(payload);
  }
  partition.unknown.clear();
  if (index == 0) check_session(name, partition);
}

// The last batch of the session, sent again, is known, at the same offset.
void ShardMachine::check_session(const std::string& name, Partition& partition) {
  if (partition.last_batch.empty()) return;
  // A later one may have survived; then it is the one that is sent again.
  if (!partition.pending_batch.empty() && !partition.never.contains(partition.pending)) return;
  const auto reply =
      call(ProduceRequest{{name, {}}, 0, Ack::durable, view_of(partition.last_batch)});
  const auto* ack = reply ? std::get_if<ProducedReply>(&*reply) : nullptr;
  require(ack != nullptr && ack->duplicate && ack->offsets.begin.value == partition.last_offset,
          name + "/0: a batch that was acked is not known any more: " + error_of(reply));
}

std::vector<std::string> ShardMachine::read(const std::string& name, PartitionIndex index,
                                            std::uint64_t from, std::uint64_t end) {
  std::vector<std::string> events;
  while (from < end) {
    FetchRequest request{{name, {}}, index, Offset{from}};
    request.wait_ms = 0;
    const auto reply = call(request);
    const auto* fetched = reply ? std::get_if<FetchedReply>(&*reply) : nullptr;
    require(fetched != nullptr, "fetch " + name + ": " + error_of(reply));
    for (const auto& buffer : fetched->data) {
      for (auto& event : all_events_of(buffer.bytes())) events.push_back(std::move(event.payload));
    }
    require(fetched->next_offset.value > from, "a reader that makes no progress");
    from = fetched->next_offset.value;
  }
  return events;
}

// -- damage
// ------------------------------------------------------------------------------------------------

const std::map<std::uint64_t, std::string>& ShardMachine::acked(const std::string& name,
                                                                PartitionIndex index) {
  return standing(name)->partitions.at(index).acked;
}

std::optional<std::uint64_t> ShardMachine::try_produce(const std::string& name,
                                                       PartitionIndex index,
                                                       std::string_view payload) {
  const Bytes batch = make_batch(payload);
  const auto reply = call(ProduceRequest{{name, {}}, index, Ack::durable, view_of(batch)});
  const auto* ack = reply ? std::get_if<ProducedReply>(&*reply) : nullptr;
  return ack != nullptr ? std::optional(ack->offsets.begin.value) : std::nullopt;
}

Observation ShardMachine::observe(const std::string& name, PartitionIndex index) {
  Observation seen;
  const auto described = call(DescribeTopicRequest{{name, {}}});
  const auto* info = described ? std::get_if<TopicInfoReply>(&*described) : nullptr;
  if (info == nullptr || index >= info->partition_infos.size()) {
    seen.refused = info == nullptr ? error_of(described) : "no such partition";
    return seen;
  }
  const PartitionInfo& partition = info->partition_infos[index];
  seen.start = partition.start_offset.value;
  seen.end = partition.end_offset.value;
  seen.state = partition.state;
  for (std::uint64_t from = seen.start; from < seen.end || from == 0;) {
    FetchRequest request{{name, {}}, index, Offset{from}};
    request.wait_ms = 0;
    request.max_bytes = 1;  // a batch each, so that the index has a say
    const auto reply = call(request);
    const auto* fetched = reply ? std::get_if<FetchedReply>(&*reply) : nullptr;
    const auto* error = reply ? std::get_if<Error>(&*reply) : nullptr;
    if (error != nullptr && error->code == Errc::corrupt && error->range_end > from) {
      seen.holes.push_back({Offset{error->range_begin}, Offset{error->range_end}});
      from = error->range_end;
      continue;
    }
    if (fetched == nullptr) {
      seen.refused = error_of(reply);
      return seen;
    }
    for (const auto& buffer : fetched->data) {
      BatchCursor cursor(buffer.bytes());
      for (auto batch = cursor.next(); batch; batch = cursor.next()) {
        std::uint64_t offset = batch->header().base_offset.value;
        for (auto& event : events_of(*batch)) seen.served[offset++] = std::move(event.payload);
      }
    }
    if (fetched->next_offset.value <= from) return seen;
    from = fetched->next_offset.value;
  }
  return seen;
}

// Every topic takes events again, a new one can be made, and sessions go on where they were.
void ShardMachine::live_on() {
  tolerant_ = false;
  for (auto& [name, all] : topics_) {
    if (standing(name) == nullptr) create(name);
    const auto count = static_cast<PartitionIndex>(standing(name)->partitions.size());
    for (PartitionIndex p = 0; p < count; ++p) produce(name, p, 3000, 2);
  }
}

void ShardMachine::resume() {
  const int restarts = restarts_;
  wait(seconds(2));
  for (auto& [name, all] : topics_) {
    Incarnation* topic = standing(name);
    if (topic == nullptr) continue;
    for (auto& [index, partition] : topic->partitions) {
      const std::size_t before = partition.acked.size();
      produce(name, index, 300, 2);
      require(restarts_ == restarts && partition.acked.size() == before + 2,
              name + ": produce does not resume after the faults");
    }
  }
}

}  // namespace millrace::test
