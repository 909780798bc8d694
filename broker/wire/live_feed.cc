#include "broker/wire/live_feed.h"

#include "storage/base/check.h"
#include "storage/format/batch_layout.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <iterator>

namespace millrace {

namespace layout = batch_layout;

namespace {

// A topic may keep this part of what is free.
constexpr std::uint64_t share_of_free = 4;
constexpr std::size_t tidy_topics_min = 1024;

}  // namespace

Result<std::unique_ptr<LiveFeed>> LiveFeed::open(void* context, const LiveFeedOptions& options,
                                                 ShardMetrics& metrics) {
  // PUB, not XPUB: what subscribers send up is discarded (PR-21).
  auto socket = ZmqSocket::open(context, ZMQ_PUB);
  if (!socket) return fail(socket.error());
  socket->set(ZMQ_SNDHWM, options.queue_messages);
  socket->drop_deaf_peers(options.stall_max);
  // Subscriptions are short; a subscriber has no business sending more than that.
  socket->set(ZMQ_MAXMSGSIZE, std::int64_t{4 * 1024});
  socket->set(ZMQ_IPV6, options.ipv6 ? 1 : 0);
  return std::unique_ptr<LiveFeed>(new LiveFeed(std::move(*socket), options, metrics));
}

LiveFeed::LiveFeed(ZmqSocket socket, const LiveFeedOptions& options, ShardMetrics& metrics)
    : socket_(std::move(socket)), options_(options), metrics_(metrics), tidy_at_(tidy_topics_min) {}

PinnedBytes& LiveFeed::count_of(std::string_view topic) {
  if (const auto found = by_topic_.find(topic); found != by_topic_.end()) return found->second;
  if (by_topic_.size() >= tidy_at_) {
    std::erase_if(by_topic_, [](const auto& entry) {
      return entry.second->load(std::memory_order_relaxed) == 0;
    });
    tidy_at_ = std::max(tidy_topics_min, 2 * by_topic_.size());
  }
  return by_topic_.emplace(topic, make_pinned_bytes()).first->second;
}

const PinnedBytes* LiveFeed::room_of(std::string_view topic) {
  const std::uint64_t all = queued_bytes();
  if (all >= options_.queue_bytes) return nullptr;
  const PinnedBytes& own = count_of(topic);
  const std::uint64_t share = (options_.queue_bytes - all) / share_of_free;
  return own->load(std::memory_order_relaxed) < share ? &own : nullptr;
}

void LiveFeed::publish(std::string_view topic, PartitionIndex partition, const Buffer& batch) {
  CHECK(batch.size() > layout::header_bytes, "a published batch is whole");
  const PinnedBytes* queued = room_of(topic);
  if (queued == nullptr) return metrics_.live_dropped.add();

  const std::byte* header = batch.bytes().data();
  const auto base_offset = load_le<std::uint64_t>(header + layout::base_offset_at);
  const auto event_count = load_le<std::uint32_t>(header + layout::event_count_at);
  std::array<std::byte, live_head_bytes> head{};
  store_le(head.data(), base_offset);
  store_le(head.data() + 8, event_count);
  store_le(head.data() + 16, load_le<std::int64_t>(header + layout::append_time_at));
  store_le(head.data() + 24, base_offset + event_count);

  topic_frame_.clear();
  fmt::format_to(std::back_inserter(topic_frame_), "{}/{}/", topic, partition);
  zmq::message_t topic_message(topic_frame_.data(), topic_frame_.size());
  zmq::message_t head_message = to_message(ByteView(head));
  zmq::message_t batch_message = to_message(batch, *queued, pinned_);
  // A PUB never waits and never refuses; it drops, per subscriber.
  if (socket_.send(topic_message, ZMQ_SNDMORE) != ZmqSocket::Io::done)
    return metrics_.live_dropped.add();
  CHECK(socket_.send(head_message, ZMQ_SNDMORE) == ZmqSocket::Io::done,
        "a PUB takes the rest of a message");
  CHECK(socket_.send(batch_message, 0) == ZmqSocket::Io::done, "a PUB takes the rest of a message");
  metrics_.live_published.add();
  metrics_.live_bytes.add(batch.size());
}

}  // namespace millrace
