#include "reader_feed.h"

#include <fmt/core.h>

#include <algorithm>

namespace millrace::detail {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds retry_pause{100};
// What a subscription is opened with at least, even if the user still holds the rest: it must be
// able to move.
constexpr std::size_t credit_bytes_min = 64 * 1024;

}  // namespace

ReaderFeed::ReaderFeed(Connection& connection, Topic topic, const std::vector<FeedStart>& starts,
                       std::uint32_t credit_bytes)
    : connection_(connection), topic_(std::move(topic)), credit_bytes_(credit_bytes) {
  for (const FeedStart& start : starts) {
    Slot slot;
    slot.partition = start.partition;
    slot.next_offset = start.begin;
    slot.end = start.end;
    slots_.push_back(slot);
  }
}

void ReaderFeed::start() {
  for (std::uint32_t i = 0; i < slots_.size(); ++i) subscribe(i);
}

void ReaderFeed::stop() {
  stopped_ = true;
  for (Slot& slot : slots_) unsubscribe(slot);
}

void ReaderFeed::subscribe(std::uint32_t i) {
  Slot& slot = slots_[i];
  if (stopped_ || slot.next_offset >= slot.end) return;
  OutgoingRequest request;
  request.id = connection_.fresh_id();
  slot.request_id = request.id;
  slot.subscription = request.id;  // unique among this client's, as ids are
  const std::size_t credit = std::max(
      credit_bytes_ - std::min<std::size_t>(slot.untaken_bytes, credit_bytes_), credit_bytes_min);
  request.control = encode_subscribe(
      request.id, topic_.key,
      {slot.subscription, slot.partition, slot.next_offset, static_cast<std::uint32_t>(credit)});
  request.kind = OutgoingRequest::Kind::stream;
  request.deadline = SteadyClock::now() + connection_.options().timeout;
  request.handler = [self = shared_from_this(), i](Answer answer) {
    self->on_answer(i, std::move(answer));
  };
  connection_.submit(std::move(request));
}

void ReaderFeed::unsubscribe(Slot& slot) {
  if (slot.subscription == 0) return;
  connection_.forget(slot.request_id);
  OutgoingRequest request;
  request.id = connection_.fresh_id();
  request.control = encode_unsubscribe(request.id, std::exchange(slot.subscription, 0));
  request.kind = OutgoingRequest::Kind::one_way;
  connection_.submit(std::move(request));
}

void ReaderFeed::on_answer(std::uint32_t i, Answer answer) {
  if (stopped_) return;
  if (!answer.reply) return on_error(i, std::move(answer.reply.error()), answer.broken);
  const wire::Reply& reply = answer.reply->reply();
  if (const wire::Pushed* pushed = reply.body_as_Pushed())
    on_pushed(i, *pushed, std::move(answer.reply->data()));
}

void ReaderFeed::on_pushed(std::uint32_t i, const wire::Pushed& pushed,
                           std::vector<zmq::message_t>&& frames) {
  Slot& slot = slots_[i];
  if (pushed.subscription() != slot.subscription) return;
  Delivered delivered;
  delivered.slot = i;
  delivered.frames = std::move(frames);
  delivered.next_offset = pushed.next_offset();
  delivered.partition_end = pushed.end_offset();
  slot.untaken_bytes += delivered.bytes();
  slot.next_offset = std::max(slot.next_offset, pushed.next_offset());
  inbox_.put(std::move(delivered));
  if (slot.next_offset >= slot.end) unsubscribe(slot);
}

void ReaderFeed::on_error(std::uint32_t i, ClientError error, bool broken) {
  Slot& slot = slots_[i];
  connection_.forget(slot.request_id);
  slot.subscription = 0;
  // A break is no error yet: the new subscription waits for a broker as long as the client's
  // timeout.
  if (broken) return subscribe(i);
  switch (code_of(error)) {
    case Errc::disconnected:
    case Errc::timed_out:
      report(i, client_error(Errc::timed_out, std::move(error.text)));
      return subscribe(i);
    case Errc::overloaded:
    case Errc::shutting_down: return subscribe_later(i);
    case Errc::offset_out_of_range:
      slot.next_offset = std::clamp(slot.next_offset, error.range_begin,
                                    std::max(error.range_begin, error.range_end));
      report(i, std::move(error));
      return subscribe_later(i);
    case Errc::corrupt:
      // The error ended the subscription; the next one begins behind the damage.
      if (error.range_end <= slot.next_offset) return report(i, std::move(error));
      slot.next_offset = error.range_end;
      report(i, std::move(error));
      return subscribe(i);
    default:
      return report(i, std::move(error));  // unknown_topic and the like: this partition has ended
  }
}

void ReaderFeed::subscribe_later(std::uint32_t i) {
  connection_.loop().at(SteadyClock::now() + connection_.jittered(retry_pause),
                        [self = shared_from_this(), i] { self->subscribe(i); });
}

void ReaderFeed::report(std::uint32_t i, ClientError error) {
  Delivered delivered;
  delivered.slot = i;
  delivered.next_offset = slots_[i].next_offset;
  delivered.error = std::move(error);
  inbox_.put(std::move(delivered));
}

void ReaderFeed::grant(std::uint32_t i, std::size_t bytes) {
  Slot& slot = slots_[i];
  slot.untaken_bytes -= std::min(bytes, slot.untaken_bytes);
  if (stopped_ || slot.subscription == 0) return;
  OutgoingRequest request;
  request.id = connection_.fresh_id();
  request.control = encode_credit(request.id, slot.subscription, static_cast<std::uint32_t>(bytes));
  request.kind = OutgoingRequest::Kind::one_way;
  connection_.submit(std::move(request));
}

}  // namespace millrace::detail
