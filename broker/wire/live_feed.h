// The live feed: a PUB socket that any ZeroMQ SUB in any language can follow with four lines.
// Implements LivePort.
//
// A message has three frames, whose order and layout never change:
//   "topic/partition/"   text; subscribe to a prefix, "orders/" or "orders/3/"
//   head, 32 bytes, little-endian:
//     0        8           12         16             24           32
//     |base    |event count|0         |append time   |end         |
//     |offset  |u32        |u32       |i64 ns        |offset u64  |
//   batch                the whole batch, header and body, as it lies on disk
//
// Only durable events are published. A subscriber that does not keep up misses batches and sees it:
// a head's base offset is not the end offset of the head before. What is missing can be fetched.
//
// Bounds: a slow subscriber may be `queue_messages` behind before libzmq drops for it; libzmq does
// not say so, nor which subscriber keeps which message. So what waits is counted per topic and in
// all: a topic may keep a quarter of what is still free of `queue_bytes`. Above that its batches
// are not published and count in live_dropped; other topics go on. A subscriber that takes nothing
// for `stall_max` is disconnected by the system, which frees what it kept. Owner: shard_thread.
// Thread: the shard's.
#pragma once

#include "broker/client_port.h"
#include "broker/metrics/metrics.h"
#include "broker/wire/zmq_message.h"
#include "broker/wire/zmq_pump.h"
#include "broker/wire/zmq_socket.h"
#include "storage/base/units.h"

#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace millrace {

inline constexpr std::size_t live_head_bytes = 32;

struct LiveFeedOptions {
  int queue_messages = 1000;
  std::uint64_t queue_bytes = 512 * MiB;
  Duration stall_max = seconds(30);
  bool ipv6 = false;
};

class LiveFeed : public LivePort, public PumpTarget {
 public:
  static Result<std::unique_ptr<LiveFeed>> open(void* context, const LiveFeedOptions& options,
                                                ShardMetrics& metrics);

  Result<std::string> bind(const std::string& endpoint) { return socket_.bind(endpoint); }
  ZmqSocket& socket() { return socket_; }

  // Of batches that some subscriber has not taken.
  std::uint64_t queued_bytes() const { return pinned_->load(std::memory_order_relaxed); }

  // LivePort
  void publish(std::string_view topic, PartitionIndex partition, const Buffer& batch) override;

  // PumpTarget: nothing is ever received; the pump's look at the socket lets it learn of new
  // subscriptions.
  bool receive_one() override { return false; }

 private:
  LiveFeed(ZmqSocket socket, const LiveFeedOptions& options, ShardMetrics& metrics);
  // Null: this topic keeps as much as it may.
  const PinnedBytes* room_of(std::string_view topic);
  PinnedBytes& count_of(std::string_view topic);

  ZmqSocket socket_;
  LiveFeedOptions options_;
  ShardMetrics& metrics_;
  PinnedBytes pinned_ = make_pinned_bytes();  // of all topics
  std::map<std::string, PinnedBytes, std::less<>> by_topic_;
  std::size_t tidy_at_;  // as many topics are looked through for those that keep nothing
  std::string topic_frame_;
};

// The feed that is switched off.
class NoLiveFeed : public LivePort {
 public:
  void publish(std::string_view, PartitionIndex, const Buffer&) override {}
};

}  // namespace millrace
