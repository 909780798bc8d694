#include "tests/sim/sim_hostile.h"

#include <iterator>

namespace millrace::sim {

void SimHostile::act() { random().chance(2, 3) ? abuse_session() : abuse_request(); }

void SimHostile::produce(SentBatch& batch, Expect expect) {
  ++batch.attempts;
  RequestRecord request = record(RequestKind::produce, batch.topic, batch.partition);
  request.tag = batch.tag;
  request.expect = expect;
  auto view = BatchView::parse(batch.bytes);
  host_.send(request,
             ProduceRequest{host_.topic_ref(batch.topic), batch.partition, Ack::durable, *view});
  oracle().counts.row("PR-10");
}

SentBatch& SimHostile::forged(const SentBatch& like) {
  SentBatch& batch = oracle().new_batch();
  batch.topic = like.topic;
  batch.partition = like.partition;
  batch.producer_id = like.producer_id;
  batch.epoch = like.epoch;
  batch.sequence = like.sequence;
  return batch;
}

void SimHostile::abuse_session() {
  const auto topic = host_.any_topic();
  if (!topic) return;
  const auto partition =
      static_cast<PartitionIndex>(random().below(oracle().topics[*topic].partitions));
  PartitionRecord& part = oracle().topics[*topic].parts[partition];
  if (part.placed.empty()) return;
  // One of the newest batches: older ones are out of the window, and told so.
  const std::uint64_t back = random().below(std::min<std::size_t>(part.placed.size(), 40));
  SentBatch& known = *oracle().batch(
      std::prev(part.placed.end(), static_cast<std::ptrdiff_t>(back) + 1)->second.tag);
  const auto found = part.sessions.find(known.producer_id);
  if (!known.is_acked || found == part.sessions.end() || !found->second.has_ack) return;
  const SessionRecord session = found->second;
  const std::uint32_t events = host_.options.events_max;
  if (known.epoch < session.epoch) return produce(known, Expect::refusal);
  switch (random().below(5)) {
    case 0:
    case 1: return produce(known, Expect::duplicate);
    case 2: {  // the same sequence, other events
      SentBatch& batch = forged(known);
      fill_batch(batch, random(), events, 50);
      return produce(batch, Expect::refusal);
    }
    case 3: {  // far ahead
      SentBatch& batch = forged(known);
      batch.sequence = session.acked_end + 100'000 + random().below(1000);
      fill_batch(batch, random(), events, 50);
      return produce(batch, Expect::refusal);
    }
    case 4: {  // an epoch that has ended
      if (session.epoch == 0) return;
      SentBatch& batch = forged(known);
      batch.epoch = session.epoch - 1;
      batch.sequence = 0;
      fill_batch(batch, random(), events, 50);
      return produce(batch, Expect::refusal);
    }
  }
}

void SimHostile::abuse_request() {
  const auto topic = host_.any_topic();
  const TopicRef known = topic ? host_.topic_ref(*topic) : TopicRef{"nothing", {}};
  const TopicRef unknown{random().chance(1, 2) ? "nothing" : "../t0", {}};
  RequestRecord request = record(RequestKind::other, topic.value_or(0));
  request.expect = Expect::refusal;
  oracle().counts.row("PR-23");
  constexpr std::uint64_t far = (std::uint64_t{1} << 63) - 1;
  switch (random().below(10)) {
    case 0: host_.send(request, FetchRequest{unknown, 0, Offset{0}, 1, 1, 0}); return;
    case 1: host_.send(request, FetchRequest{known, 1'000'000, Offset{0}, 1, 1, 0}); return;
    case 2:
      host_.send(request, FetchRequest{known, 0, Offset{far}, 1, UINT32_MAX, UINT32_MAX});
      return;
    case 3: host_.send(request, SubscribeRequest{far, known, 0, Offset{far}, UINT32_MAX}); return;
    case 4: host_.send(request, CreditRequest{far - 1, UINT32_MAX}); return;
    case 5: host_.send(request, UnsubscribeRequest{far - 1}); return;
    case 6: host_.send(request, CreateTopicRequest{"a/b", 1, {}}); return;
    case 7: host_.send(request, CreateTopicRequest{"many", UINT32_MAX, {}}); return;
    case 8: host_.send(request, CreateTopicRequest{"odd", 1, {"segment_bytes=1"}}); return;
    case 9: host_.send(request, DeleteTopicRequest{unknown}); return;
  }
}

}  // namespace millrace::sim
