#include "producer_session.h"

#include "producer_core.h"

#include <fmt/core.h>

#include <algorithm>

namespace millrace::detail {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds pause_min{5};
constexpr milliseconds pause_max{1'000};

bool can_try_again(Errc code) {
  switch (code) {
    case Errc::overloaded:
    case Errc::shutting_down:
    case Errc::storage_full:
    case Errc::timed_out:
    case Errc::out_of_order:
    case Errc::unknown_producer: return true;
    default: return false;
  }
}

// The codes that say themselves that the batch may be stored (millrace/producer.h, Unacked).
bool leaves_open(Errc code) {
  return code == Errc::timed_out || code == Errc::storage_error || code == Errc::unknown_producer;
}

BatchFate::Acked acked_of(const wire::Produced& produced, std::uint32_t event_count) {
  BatchFate::Acked acked;
  acked.ack =
      static_cast<AckLevel>(std::min<std::uint8_t>(static_cast<std::uint8_t>(produced.ack()), 2));
  acked.append_time_ns = produced.append_time();
  // An answer whose range is not this batch's names no offset of its events.
  if (produced.end_offset() - produced.base_offset() == event_count)
    acked.base_offset = produced.base_offset();
  return acked;
}

}  // namespace

void ProducerSession::pump() {
  while (auto draft = core_.take(partition_, in_flight_.size(), blocked())) admit(std::move(draft));
}

void ProducerSession::admit(std::unique_ptr<DraftBatch> draft) {
  const std::uint32_t event_count = draft->body.event_count();
  const ProducerCore::Decided refused{draft->fate, draft->serial, draft->first_event, event_count,
                                      draft->event_bytes};
  if (dead_) {
    core_.recycle(std::move(draft));
    return core_.decide(refused, *dead_);
  }
  if (draft->deadline <= SteadyClock::now()) {
    core_.recycle(std::move(draft));
    return core_.decide(
        refused,
        client_error(Errc::disconnected,
                     fmt::format("the events waited for {} ms and were not sent: check that "
                                 "a broker listens at {}, or allow a longer timeout",
                                 core_.connection().options().timeout.count(),
                                 core_.connection().options().endpoint)));
  }
  SentBatch batch;
  batch.fate = draft->fate;
  batch.serial = draft->serial;
  batch.first_event = draft->first_event;
  batch.event_count = event_count;
  batch.event_bytes = draft->event_bytes;
  batch.deadline = draft->deadline;
  batch.sequence = next_sequence_;
  batch.bytes = core_.sealer().seal(draft->body, place_at(next_sequence_));
  next_sequence_ += event_count;
  core_.recycle(std::move(draft));
  in_flight_.push_back(std::move(batch));
  transmit(in_flight_.back());
}

// Without acks nothing is sent twice, so there is nothing to number: and one lost batch does not
// stop those behind it.
SessionPlace ProducerSession::place_at(std::uint64_t sequence) const {
  if (core_.options().ack == AckLevel::none) return {};
  return {core_.options().producer_id, epoch_, sequence};
}

void ProducerSession::transmit(SentBatch& batch) {
  if (batch.request_id != 0) {
    core_.connection().forget(batch.request_id);
    batch.maybe_stored = true;
  }
  OutgoingRequest request;
  request.id = core_.connection().fresh_id();
  request.control = encode_produce(request.id, core_.topic().key, partition_, core_.options().ack);
  request.data.copy(batch.bytes);
  request.has_data = true;
  if (core_.options().ack == AckLevel::none) request.kind = OutgoingRequest::Kind::one_way;
  request.deadline = batch.deadline;
  request.handler = [core = core_.shared_from_this(), partition = partition_,
                     serial = batch.serial](Answer answer) {
    core->session(partition).on_answer(serial, std::move(answer));
  };
  batch.request_id = request.id;
  core_.connection().submit(std::move(request));
}

void ProducerSession::on_answer(std::uint64_t serial, Answer answer) {
  const auto at = std::find_if(in_flight_.begin(), in_flight_.end(),
                               [&](const SentBatch& b) { return b.serial == serial; });
  if (at == in_flight_.end()) return;
  const auto i = static_cast<std::size_t>(at - in_flight_.begin());
  at->request_id = 0;
  if (!answer.reply) {
    // Of several copies that went out the answer is to one.
    const bool unanswered = answer.reply.error().origin == Origin::client && answer.sends > 0;
    at->maybe_stored = at->maybe_stored || unanswered || answer.sends > 1;
    on_refused(i, std::move(answer.reply.error()));
  } else if (core_.options().ack == AckLevel::none) {
    on_acked(i, {std::nullopt, 0, AckLevel::none});
  } else if (const wire::Produced* produced = answer.reply->reply().body_as_Produced()) {
    on_acked(i, acked_of(*produced, at->event_count));
  } else {
    at->maybe_stored = true;
    fail_from(i, unexpected_reply("produce").error());
  }
  pump();
}

void ProducerSession::on_acked(std::size_t i, BatchFate::Acked acked) {
  const SentBatch batch = std::move(in_flight_[i]);
  in_flight_.erase(in_flight_.begin() + static_cast<std::ptrdiff_t>(i));
  pause_ = milliseconds{0};
  core_.decide({batch.fate, batch.serial, batch.first_event, batch.event_count, batch.event_bytes},
               acked);
  raise_epoch_if_due();
}

void ProducerSession::on_refused(std::size_t i, ClientError error) {
  const Errc code = code_of(error);
  // Stored, so long ago that its offset is forgotten.
  if (code == Errc::sequence_expired) return on_acked(i, {std::nullopt, 0, core_.options().ack});
  SentBatch& batch = in_flight_[i];
  if (error.origin == Origin::broker && can_try_again(code)) {
    const bool session_lost = code == Errc::out_of_order || code == Errc::unknown_producer;
    if (code == Errc::timed_out) batch.maybe_stored = true;
    if (code == Errc::unknown_producer && i == 0 && batch.maybe_stored)
      return fail_from(0, std::move(error));
    if (session_lost && i == 0 && !batch.maybe_stored) start_over();
    batch.refusal = std::move(error);
    return pause();
  }
  // Another session with our number, or a topic that is gone: what comes later cannot fare better.
  if (code == Errc::fenced || code == Errc::sequence_conflict || code == Errc::unknown_topic ||
      code == Errc::unknown_partition)
    dead_ = error;
  fail_from(i, std::move(error));
}

void ProducerSession::pause() {
  if (paused_ || in_flight_.empty()) return;
  paused_ = true;
  pause_ = std::clamp(2 * pause_, pause_min, pause_max);
  const TimePoint over = SteadyClock::now() + core_.connection().jittered(pause_);
  core_.connection().loop().at(std::min(over, in_flight_.front().deadline),
                               [core = core_.shared_from_this(), partition = partition_] {
                                 core->session(partition).on_pause_over();
                               });
}

void ProducerSession::on_pause_over() {
  paused_ = false;
  if (!in_flight_.empty() && in_flight_.front().deadline <= SteadyClock::now()) {
    const SentBatch& oldest = in_flight_.front();
    const auto waited = core_.connection().options().timeout.count();
    const std::string last =
        oldest.refusal ? "; the last answer was " + oldest.refusal->to_string() : "";
    // Each copy that went out was refused: the last refusal is the result. Else it is unknown.
    if (oldest.refusal && !oldest.maybe_stored && oldest.request_id == 0) {
      fail_from(0, *oldest.refusal);
    } else {
      fail_from(0, client_error(Errc::timed_out,
                                fmt::format("not acked within {} ms; the result is unknown{}",
                                            waited, last)));
    }
  }
  for (SentBatch& batch : in_flight_) transmit(batch);
  pump();
}

void ProducerSession::start_over() {
  ++epoch_;
  next_sequence_ = 0;
  for (SentBatch& batch : in_flight_) {
    if (batch.request_id != 0) core_.connection().forget(batch.request_id);
    batch.request_id = 0;
    batch.maybe_stored =
        false;  // nothing behind a gap was stored, and the new epoch fences what is on its way
    batch.sequence = next_sequence_;
    batch.bytes = BatchSealer::reseal(batch.bytes, place_at(next_sequence_));
    next_sequence_ += batch.event_count;
  }
}

void ProducerSession::fail_from(std::size_t i, ClientError error) {
  // A copy that is on its way may be stored. What the disk failed under may be whole on it, and is
  // found after the broker's restart.
  const SentBatch& cause = in_flight_[i];
  const bool unknown =
      cause.maybe_stored || cause.request_id != 0 || code_of(error) == Errc::storage_error;
  // A refusal speaks of the last copy only: one before it may have been stored.
  if (unknown && !leaves_open(code_of(error)))
    error = client_error(Errc::timed_out,
                         fmt::format("an earlier try was never answered, so the result is "
                                     "unknown; the last answer was {}",
                                     error.to_string()));
  const bool never_sent = code_of(error) == Errc::disconnected;
  const ClientError behind =
      never_sent
          ? error
          : client_error(
                unknown ? Errc::timed_out : Errc::cancelled,
                fmt::format("sent behind a batch that failed ({}); {}", error.to_string(),
                            unknown ? "the result is unknown" : "not stored, send it again"));
  std::deque<SentBatch> failed;
  while (in_flight_.size() > i) {
    failed.push_front(std::move(in_flight_.back()));
    in_flight_.pop_back();
  }
  raising_ = true;
  raise_epoch_if_due();
  bool first = true;
  for (SentBatch& batch : failed) {
    if (batch.request_id != 0) core_.connection().forget(batch.request_id);
    core_.decide(
        {batch.fate, batch.serial, batch.first_event, batch.event_count, batch.event_bytes},
        std::exchange(first, false) ? error : behind);
  }
}

void ProducerSession::raise_epoch_if_due() {
  if (!raising_ || !in_flight_.empty()) return;
  raising_ = false;
  ++epoch_;
  next_sequence_ = 0;
}

}  // namespace millrace::detail
