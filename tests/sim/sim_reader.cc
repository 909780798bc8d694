#include "tests/sim/sim_reader.h"

#include <algorithm>

namespace millrace::sim {
namespace {

std::uint32_t any_bytes(Random& random) {
  static constexpr std::uint32_t values[] = {1, 700, 4000, 16'000, 1'000'000};
  return values[random.below(5)];
}

}  // namespace

bool FollowingClient::has_target() {
  if (topic_) {
    const TopicRecord& topic = oracle().topics[*topic_];
    if (topic.state == TopicRecord::State::standing && topic.is_served && !random().chance(1, 40))
      return true;
  }
  topic_ = host_.any_topic();
  if (!topic_) return false;
  partition_ = static_cast<PartitionIndex>(random().below(oracle().topics[*topic_].partitions));
  cursor_ = oracle().topics[*topic_].parts[partition_].start_told;
  return true;
}

void FollowingClient::jump() {
  cursor_ = random().below(oracle().topics[*topic_].parts[partition_].end_told + 2);
}

void FollowingClient::on_error(const Error& error) {
  if (error.code == Errc::corrupt && error.range_end > cursor_) cursor_ = error.range_end;
  if (error.code == Errc::offset_out_of_range && error.range_end != 0) {
    cursor_ = std::clamp(cursor_, error.range_begin, error.range_end);
  }
}

// -- fetch
// ----------------------------------------------------------------------------------------------------

void SimFetcher::act() {
  if (request_ != 0 || !has_target()) return;
  if (random().chance(1, 5)) jump();
  static constexpr std::uint32_t waits[] = {0, 10, 500, 5000};
  RequestRecord request = record(RequestKind::fetch, *topic_, partition_);
  request.offset = cursor_;
  FetchRequest body;
  body.topic = host_.topic_ref(*topic_);
  body.partition = partition_;
  body.offset = Offset{cursor_};
  body.min_bytes = random().chance(1, 4) ? 3000 : 1;
  body.max_bytes = any_bytes(random());
  body.wait_ms = waits[random().below(4)];
  request_ = host_.send(request, body);
}

void SimFetcher::hear(std::uint64_t id, const ReplyBody& body) {
  if (id != request_) return;
  request_ = 0;
  if (const auto* error = std::get_if<Error>(&body)) return on_error(*error);
  if (const auto* fetched = std::get_if<FetchedReply>(&body)) cursor_ = fetched->next_offset.value;
}

// -- subscribe
// ------------------------------------------------------------------------------------------------

void SimSubscriber::act() {
  if (request_ == 0) {
    if (!has_target()) return;
    if (random().chance(1, 5)) jump();
    RequestRecord request = record(RequestKind::subscribe, *topic_, partition_);
    request.offset = cursor_;
    SubscribeRequest body;
    body.subscription = ++subscription_;
    body.topic = host_.topic_ref(*topic_);
    body.partition = partition_;
    body.offset = Offset{cursor_};
    body.credit_bytes = random().chance(1, 6) ? 0 : any_bytes(random());
    request.credit = body.credit_bytes;
    request_ = host_.send(request, body);
    return;
  }
  if (random().chance(1, 12)) {
    host_.send(record(RequestKind::unsubscribe), UnsubscribeRequest{subscription_});
    // What is on its way still comes; the record of the subscription stays with its request.
    host_.abandon(request_);
    request_ = 0;
    return;
  }
  const CreditRequest more{subscription_, any_bytes(random())};
  const auto subscription = oracle().requests.find(request_);
  if (subscription != oracle().requests.end()) subscription->second.credit += more.credit_bytes;
  host_.send(record(RequestKind::credit), more);
}

void SimSubscriber::hear(std::uint64_t id, const ReplyBody& body) {
  if (id != request_) return;
  if (const auto* pushed = std::get_if<PushedReply>(&body)) cursor_ = pushed->next_offset.value;
  if (const auto* error = std::get_if<Error>(&body)) {
    request_ = 0;
    on_error(*error);
  }
}

}  // namespace millrace::sim
