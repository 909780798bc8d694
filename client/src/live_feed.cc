#include "live_feed.h"

#include "endpoint.h"
#include "storage/base/bytes.h"
#include "storage/base/units.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>

namespace millrace::detail {
namespace {

using std::chrono::milliseconds;

constexpr std::int64_t frame_bytes_max = 80 * static_cast<std::int64_t>(MiB);
constexpr int high_water_mark = 1000;
constexpr std::size_t held_bytes_max = 8 * MiB;
constexpr std::size_t held_max = 4096;
constexpr std::uint32_t fetch_bytes_max = 4 * MiB;
constexpr milliseconds check_pause_min{200};
constexpr milliseconds check_pause_max{2'000};
constexpr milliseconds retry_pause{100};
constexpr std::size_t gaps_max = 10'000;
constexpr std::size_t head_bytes = 32;

// "topic/partition/" → partition.
std::optional<std::uint32_t> partition_of(std::string_view feed, const Topic& topic) {
  if (!feed.starts_with(topic.key.name) || !feed.ends_with('/')) return std::nullopt;
  feed.remove_prefix(topic.key.name.size());
  if (feed.size() < 3 || feed.front() != '/') return std::nullopt;
  const std::string_view digits = feed.substr(1, feed.size() - 2);
  std::uint32_t partition = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), partition);
  if (error != std::errc{} || end != digits.data() + digits.size() || partition >= topic.partitions)
    return std::nullopt;
  return partition;
}

}  // namespace

LiveFeed::LiveFeed(Connection& connection, Topic topic, std::string endpoint,
                   std::size_t untaken_bytes_max)
    : connection_(connection),
      topic_(std::move(topic)),
      endpoint_(std::move(endpoint)),
      untaken_bytes_max_(untaken_bytes_max),
      slots_(topic_.partitions),
      last_arrival_(SteadyClock::now()),
      check_pause_(check_pause_min) {}

void LiveFeed::start(Loop::Task subscribed) {
  subscribed_ = std::move(subscribed);
  const ClientOptions& options = connection_.options();
  subscriber_ = Socket(connection_.context(), ZMQ_SUB);
  bool dialled = subscriber_.is_open();
  if (dialled) {
    subscriber_.set(ZMQ_RCVHWM, high_water_mark);
    subscriber_.set(ZMQ_MAXMSGSIZE, frame_bytes_max);
    subscriber_.set(ZMQ_RECONNECT_IVL, static_cast<int>(options.reconnect_min.count()));
    subscriber_.set(ZMQ_RECONNECT_IVL_MAX, static_cast<int>(options.reconnect_max.count()));
    subscriber_.set(ZMQ_HEARTBEAT_IVL, 5'000);
    subscriber_.set(ZMQ_HEARTBEAT_TIMEOUT, 15'000);
    subscriber_.set(ZMQ_TCP_KEEPALIVE, 1);
    subscriber_.set(ZMQ_IPV6, is_ipv6_endpoint(endpoint_) ? 1 : 0);
    // A topic's name holds no slash, so this is every partition of this topic and nothing else.
    subscriber_.set(ZMQ_SUBSCRIBE, topic_.key.name + "/");
    const std::string name =
        fmt::format("inproc://millrace-live-{}-{}", static_cast<const void*>(this),
                    connection_.random().next());
    monitor_ = Monitor(connection_.context(), subscriber_, name, ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    connection_.loop().watch(monitor_.handle(), ZMQ_POLLIN,
                             [self = shared_from_this()](short) { self->on_monitor(); });
    connection_.loop().watch(subscriber_.handle(), ZMQ_POLLIN,
                             [self = shared_from_this()](short) { self->receive(); });
    dialled = subscriber_.connect(endpoint_);
  }
  // In process there is no handshake to wait for. And a feed that cannot be reached costs latency,
  // not events: the tail check finds what it would have told.
  if (!dialled || endpoint_.starts_with("inproc://")) {
    if (auto done = std::exchange(subscribed_, nullptr)) done();
    return;
  }
  connection_.loop().at(SteadyClock::now() + std::min(options.timeout, milliseconds{2'000}),
                        [self = shared_from_this()] {
                          if (auto done = std::exchange(self->subscribed_, nullptr)) done();
                        });
}

void LiveFeed::on_monitor() {
  while (monitor_.next() != 0) {
    if (auto done = std::exchange(subscribed_, nullptr)) done();
  }
}

void LiveFeed::begin(const std::vector<std::uint64_t>& offsets) {
  for (std::uint32_t i = 0; i < slots_.size(); ++i) {
    Slot& slot = slots_[i];
    slot.next_offset = offsets[i];
    slot.known_end = std::max(slot.known_end, offsets[i]);
  }
  begun_ = true;
  // What came while the ends were asked for was held.
  for (std::uint32_t i = 0; i < slots_.size(); ++i) deliver_held(i);
  schedule_check();
}

void LiveFeed::stop() {
  stopped_ = true;
  if (!subscriber_.is_open()) return;
  connection_.loop().unwatch(monitor_.handle());
  connection_.loop().unwatch(subscriber_.handle());
  monitor_.stop();
  subscriber_.close();
}

void LiveFeed::receive() {
  // A budget, so that a fast feed leaves the loop time for answers.
  for (int budget = 256; budget > 0 && subscriber_.is_open(); --budget) {
    std::vector<zmq::message_t> frames = subscriber_.receive(3);
    if (frames.empty()) return;
    on_message(std::move(frames));
  }
}

void LiveFeed::on_message(std::vector<zmq::message_t>&& frames) {
  if (frames.size() != 3 || frames[1].size() != head_bytes) return;
  const auto partition =
      partition_of({static_cast<const char*>(frames[0].data()), frames[0].size()}, topic_);
  if (!partition) return;
  const auto* head = static_cast<const std::byte*>(frames[1].data());
  Arrival arrival;
  arrival.base_offset = load_le<std::uint64_t>(head);
  arrival.end_offset = load_le<std::uint64_t>(head + 24);
  const auto events = load_le<std::uint32_t>(head + 8);
  if (arrival.base_offset > offset_max.value ||
      arrival.end_offset != arrival.base_offset + events || events == 0)
    return;
  arrival.batch = std::move(frames[2]);
  last_arrival_ = SteadyClock::now();
  check_pause_ = check_pause_min;
  on_arrival(*partition, std::move(arrival));
}

void LiveFeed::on_arrival(std::uint32_t i, Arrival arrival) {
  Slot& slot = slots_[i];
  slot.known_end = std::max(slot.known_end, arrival.end_offset);
  const bool room = untaken_bytes_ < untaken_bytes_max_ && held_bytes_ < held_bytes_max &&
                    slot.held.size() < held_max;
  if (room) {
    held_bytes_ += arrival.batch.size();
    slot.held.push_back(std::move(arrival));
  }
  if (begun_) deliver_held(i);
}

void LiveFeed::deliver_held(std::uint32_t i) {
  Slot& slot = slots_[i];
  while (!slot.held.empty() && slot.held.front().base_offset <= slot.next_offset) {
    Arrival arrival = std::move(slot.held.front());
    slot.held.pop_front();
    held_bytes_ -= arrival.batch.size();
    if (arrival.end_offset <= slot.next_offset) continue;
    std::vector<zmq::message_t> frames;
    frames.push_back(std::move(arrival.batch));
    deliver(i, arrival.end_offset, std::move(frames));
  }
  if (slot.known_end > slot.next_offset) {
    open_gap(slot, slot.held.empty() ? slot.known_end : slot.held.front().base_offset);
    repair(i);
  }
}

void LiveFeed::deliver(std::uint32_t i, std::uint64_t end, std::vector<zmq::message_t>&& frames) {
  Slot& slot = slots_[i];
  Delivered delivered;
  delivered.slot = i;
  delivered.frames = std::move(frames);
  delivered.next_offset = end;
  delivered.partition_end = slot.known_end;
  untaken_bytes_ += delivered.bytes();
  slot.next_offset = end;
  inbox_.put(std::move(delivered));
}

void LiveFeed::open_gap(Slot& slot, std::uint64_t end) {
  if (slot.gap_begin == slot.gap_end) slot.gap_begin = slot.next_offset;
  slot.gap_end = std::max(slot.gap_end, end);
}

// What was fetched up to `repaired_end` closes the gap, or its front.
void LiveFeed::close_gap(std::uint32_t i, std::uint64_t repaired_end) {
  Slot& slot = slots_[i];
  if (slot.gap_begin == slot.gap_end || repaired_end < slot.gap_end) return;
  note_gap(i, slot.gap_begin, slot.gap_end, true);
  slot.gap_begin = slot.gap_end = 0;
}

void LiveFeed::note_gap(std::uint32_t i, std::uint64_t begin, std::uint64_t end, bool repaired) {
  if (begin >= end) return;
  std::lock_guard lock(gaps_mutex_);
  if (gaps_.size() < gaps_max) gaps_.push_back({i, begin, end, repaired});
}

void LiveFeed::repair(std::uint32_t i) {
  Slot& slot = slots_[i];
  if (stopped_ || slot.fetching || slot.known_end <= slot.next_offset ||
      untaken_bytes_ >= untaken_bytes_max_)
    return;
  slot.fetching = true;
  OutgoingRequest request;
  request.id = connection_.fresh_id();
  request.control = encode_fetch(request.id, topic_.key, {i, slot.next_offset, fetch_bytes_max});
  request.deadline = SteadyClock::now() + connection_.options().timeout;
  request.handler = [self = shared_from_this(), i](Answer answer) {
    self->on_fetched(i, std::move(answer));
  };
  connection_.submit(std::move(request));
}

void LiveFeed::repair_later(std::uint32_t i) {
  connection_.loop().at(SteadyClock::now() + connection_.jittered(retry_pause),
                        [self = shared_from_this(), i] { self->repair(i); });
}

void LiveFeed::on_fetched(std::uint32_t i, Answer answer) {
  Slot& slot = slots_[i];
  slot.fetching = false;
  if (stopped_) return;
  if (!answer.reply) return on_fetch_failed(i, std::move(answer.reply.error()));
  const wire::Fetched* fetched = answer.reply->reply().body_as_Fetched();
  if (fetched == nullptr || fetched->next_offset() <= slot.next_offset ||
      answer.reply->data().empty())
    return repair_later(i);  // known to be there, but not answered yet
  slot.known_end = std::max(slot.known_end, fetched->end_offset());
  close_gap(i, fetched->next_offset());  // told before its events can be seen
  deliver(i, fetched->next_offset(), std::move(answer.reply->data()));
  deliver_held(i);
}

void LiveFeed::on_fetch_failed(std::uint32_t i, ClientError error) {
  Slot& slot = slots_[i];
  const std::uint64_t failed_at = slot.next_offset;
  switch (code_of(error)) {
    case Errc::offset_out_of_range:
      if (error.range_begin <= failed_at) return report(i, std::move(error));
      // Retention was faster than this reader.
      note_gap(i, failed_at, error.range_begin, false);
      slot.next_offset = error.range_begin;
      slot.gap_begin = slot.gap_end = 0;
      slot.known_end = std::max(slot.known_end, error.range_begin);
      report(i, std::move(error));
      return deliver_held(i);
    case Errc::corrupt:
      slot.next_offset = std::max(error.range_end, failed_at + 1);
      slot.gap_begin = slot.gap_end = 0;
      report(i, std::move(error));
      return deliver_held(i);
    case Errc::overloaded:
    case Errc::shutting_down: return repair_later(i);
    case Errc::timed_out:
    case Errc::disconnected:
      report(i, client_error(Errc::timed_out, std::move(error.text)));
      return repair_later(i);
    default:
      report(i, std::move(error));  // unknown_topic and the like: nothing more comes
      return stop();
  }
}

void LiveFeed::report(std::uint32_t i, ClientError error) {
  Delivered delivered;
  delivered.slot = i;
  delivered.next_offset = slots_[i].next_offset;
  delivered.error = std::move(error);
  inbox_.put(std::move(delivered));
}

void LiveFeed::grant(std::size_t bytes) {
  untaken_bytes_ -= std::min(bytes, untaken_bytes_);
  if (stopped_ || !begun_) return;
  for (std::uint32_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i].known_end > slots_[i].next_offset) repair(i);
  }
}

std::vector<LiveGap> LiveFeed::take_gaps() {
  std::lock_guard lock(gaps_mutex_);
  return std::exchange(gaps_, {});
}

void LiveFeed::schedule_check() {
  connection_.loop().at(SteadyClock::now() + check_pause_,
                        [self = shared_from_this()] { self->check_tails(); });
}

void LiveFeed::check_tails() {
  if (stopped_) return;
  if (SteadyClock::now() - last_arrival_ < check_pause_min) return schedule_check();
  OutgoingRequest request;
  request.id = connection_.fresh_id();
  request.control = encode_describe_topic(request.id, topic_.key.name);
  request.deadline = SteadyClock::now() + connection_.options().timeout;
  request.handler = [self = shared_from_this()](Answer answer) {
    self->on_tails(std::move(answer));
  };
  connection_.submit(std::move(request));
}

void LiveFeed::on_tails(Answer answer) {
  if (stopped_) return;
  check_pause_ = std::min(2 * check_pause_, check_pause_max);
  compare_tails(std::move(answer));
  if (!stopped_) schedule_check();
}

void LiveFeed::compare_tails(Answer answer) {
  if (!answer.reply) {
    const Errc code = code_of(answer.reply.error());
    // No broker for longer than the client's timeout, or no such topic any more: the user is told.
    if (code == Errc::disconnected || code == Errc::timed_out) {
      report(0, client_error(Errc::timed_out, std::move(answer.reply.error().text)));
    } else if (code == Errc::unknown_topic) {
      report(0, std::move(answer.reply.error()));
      stop();
    }
    return;
  }
  const wire::TopicInfo* info = answer.reply->reply().body_as_TopicInfo();
  if (info == nullptr || info->end_offsets() == nullptr) return;
  const auto rows = std::min<std::size_t>(info->end_offsets()->size(), slots_.size());
  for (std::uint32_t i = 0; i < rows; ++i) {
    Slot& slot = slots_[i];
    const std::uint64_t end = element_of(info->end_offsets(), i);
    // An end that was seen in two checks and still did not come by the feed was dropped by it. One
    // check is too few: the feed and the answer travel on two connections, and neither waits for
    // the other.
    if (end > slot.next_offset && slot.seen_in_check >= slot.next_offset + 1) {
      slot.known_end = std::max(slot.known_end, slot.seen_in_check);
      deliver_held(i);
    }
    if (end > slot.seen_in_check) check_pause_ = check_pause_min;
    slot.seen_in_check = std::max(slot.seen_in_check, end);
  }
}

}  // namespace millrace::detail
