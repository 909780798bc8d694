#include "tests/sim/sim_producer.h"

#include <algorithm>

namespace millrace::sim {

bool SimProducer::has_target() {
  if (topic_) {
    const TopicRecord& topic = oracle().topics[*topic_];
    if (topic.state == TopicRecord::State::standing) return topic.is_served;
    topic_.reset();
  }
  topic_ = host_.any_topic();
  if (!topic_) return false;
  partition_ = static_cast<PartitionIndex>(random().below(oracle().topics[*topic_].partitions));
  begin_session();
  return true;
}

// No two sessions of a run share a number.
void SimProducer::begin_session() {
  producer_id_ += 1000;
  epoch_ = 0;
  sequence_ = 0;
  window_.clear();
}

void SimProducer::raise_epoch() {
  for (const auto& waiting : window_) host_.abandon(waiting.request);
  window_.clear();
  ++epoch_;
  sequence_ = 0;
}

void SimProducer::act() {
  if (!has_target()) return;
  if (random().chance(1, 12)) return send_loose();
  if (random().chance(1, 60)) raise_epoch();
  if (!window_.empty() && random().chance(1, 20)) {
    // It gives up waiting: the answer is lost, or comes too late.
    Waiting& waiting = window_[random().below(window_.size())];
    host_.abandon(waiting.request);
    waiting.request = 0;
  }
  while (window_.size() < host_.options.window_max && random().chance(2, 3)) add_batch();
  send_waiting();
}

void SimProducer::finish() {
  const bool is_gone = topic_ && oracle().topics[*topic_].state != TopicRecord::State::standing;
  if (is_gone || !topic_) window_.clear();
  if (!window_.empty()) send_waiting();
}

void SimProducer::add_batch() {
  SentBatch& batch = oracle().new_batch();
  batch.topic = *topic_;
  batch.partition = partition_;
  batch.producer_id = producer_id_;
  batch.epoch = epoch_;
  batch.sequence = sequence_;
  fill_batch(batch, random(), host_.options.events_max, host_.options.payload_bytes_max);
  sequence_ += batch.event_count;
  window_.push_back({batch.tag, 0});
}

// In the order of their sequences: what comes behind one that must go again waits for its refusal.
void SimProducer::send_waiting() {
  if (rests_ || oracle().now < pause_until_) return;
  const auto first =
      std::find_if(window_.begin(), window_.end(), [](const Waiting& w) { return w.request == 0; });
  if (first == window_.end()) return;
  const bool overtaken =
      std::any_of(first, window_.end(), [](const Waiting& w) { return w.request != 0; });
  if (overtaken) return;
  oracle()
      .part(record(RequestKind::produce, *topic_, partition_))
      .sessions[producer_id_]
      .epoch_sent = epoch_;
  // An answer may come from inside of the call, but it is heard later: the window stays as it is.
  for (auto at = first; at != window_.end(); ++at) {
    SentBatch& batch = *oracle().batch(at->tag);
    ++batch.attempts;
    RequestRecord request = record(RequestKind::produce, *topic_, partition_);
    request.tag = batch.tag;
    auto view = BatchView::parse(batch.bytes);
    at->request = host_.send(
        request, ProduceRequest{host_.topic_ref(*topic_), partition_, Ack::durable, *view});
  }
}

// A batch without a session: nobody sends it again.
void SimProducer::send_loose() {
  SentBatch& batch = oracle().new_batch();
  batch.topic = *topic_;
  batch.partition = partition_;
  fill_batch(batch, random(), host_.options.events_max, host_.options.payload_bytes_max);
  batch.attempts = 1;
  RequestRecord request = record(RequestKind::produce, *topic_, partition_);
  request.tag = batch.tag;
  request.ack = static_cast<Ack>(random().below(3));
  auto view = BatchView::parse(batch.bytes);
  host_.send(request, ProduceRequest{host_.topic_ref(*topic_), partition_, request.ack, *view});
}

void SimProducer::hear(std::uint64_t id, const ReplyBody& body) {
  const auto found = std::find_if(window_.begin(), window_.end(),
                                  [&](const Waiting& w) { return w.request == id; });
  if (found == window_.end()) return;
  if (const auto* error = std::get_if<Error>(&body)) {
    return on_refused(static_cast<std::size_t>(found - window_.begin()), *error);
  }
  window_.erase(found);
}

void SimProducer::on_refused(std::size_t at, const Error& error) {
  window_[at].request = 0;
  switch (error.code) {
    case Errc::out_of_order: return;
    case Errc::overloaded:
    case Errc::storage_full:
    case Errc::shutting_down:
      pause_until_ =
          oracle().now + milliseconds(static_cast<std::int64_t>(1 + random().below(800)));
      return;
    case Errc::sequence_expired:
      window_.erase(window_.begin() + static_cast<std::ptrdiff_t>(at));
      return;
    case Errc::storage_error:
    case Errc::read_only: rests_ = true; return;
    case Errc::unknown_topic:
    case Errc::unknown_partition:
      topic_.reset();
      window_.clear();
      return;
    case Errc::unknown_producer:
    case Errc::fenced:
    case Errc::sequence_conflict: return begin_session();
    default: return raise_epoch();
  }
}

void SimProducer::on_disconnect() {
  for (auto& waiting : window_) waiting.request = 0;
  rests_ = false;
  pause_until_ = Instant{INT64_MIN};
}

}  // namespace millrace::sim
