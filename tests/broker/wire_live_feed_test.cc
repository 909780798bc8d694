// The live feed's frames, which never change, and its bounds.
#include "broker/wire/live_feed.h"
#include "storage/format/batch.h"
#include "tests/support/batch_maker.h"
#include "tests/support/patience.h"
#include "tests/support/raw_client.h"
#include "tests/support/zmq_context.h"

#include <catch2/catch.hpp>

#include <cstring>

namespace millrace {
namespace {

using test::Bytes;

// A durable batch as the shard publishes it.
Buffer placed(SlabPool& pool, Bytes batch, std::uint64_t base_offset) {
  const auto header = parse_batch_header(batch);
  REQUIRE(header);
  BatchPlace place;
  place.base_offset = Offset{base_offset};
  place.append_time = WallTime{1'700'000'000'000'000'001};
  place.segment_id = 99;
  stamp_batch(batch, *header, place);
  Buffer whole = pool.take(batch.size());
  std::memcpy(whole.slab()->data(), batch.data(), batch.size());
  return whole.slice(0, batch.size());
}

struct Fixture {
  explicit Fixture(LiveFeedOptions options = {}) {
    auto opened = LiveFeed::open(context.raw(), options, metrics);
    REQUIRE(opened);
    feed = std::move(*opened);
    REQUIRE(feed->bind("inproc://live"));
  }
  // Publishes until the subscriber hears of it: a subscription takes a moment to arrive.
  std::vector<Bytes> publish_until_heard(test::RawSubscriber& subscriber, const Buffer& batch) {
    std::vector<Bytes> frames;
    REQUIRE(test::eventually([&] {
      static_cast<void>(feed->socket().events());
      feed->publish("orders", 3, batch);
      return !(frames = subscriber.receive(std::chrono::milliseconds(10))).empty();
    }));
    return frames;
  }

  test::ZmqContext context;
  ShardMetrics metrics;
  SlabPool pool{0};
  std::unique_ptr<LiveFeed> feed;
};

TEST_CASE("a message of the live feed has its topic, its head and the batch as it is stored") {
  Fixture f;
  test::RawSubscriber subscriber("inproc://live", "orders/3/", f.context.raw());
  const Buffer batch = placed(f.pool, test::make_batch({{"k", "one"}, {"k", "two"}}), 1000);
  const auto frames = f.publish_until_heard(subscriber, batch);
  REQUIRE(frames.size() == 3);
  CHECK(as_text(frames[0]) == "orders/3/");
  REQUIRE(frames[1].size() == 32);
  CHECK(load_le<std::uint64_t>(frames[1].data()) == 1000);
  CHECK(load_le<std::uint32_t>(frames[1].data() + 8) == 2);
  CHECK(load_le<std::uint32_t>(frames[1].data() + 12) == 0);
  CHECK(load_le<std::int64_t>(frames[1].data() + 16) == 1'700'000'000'000'000'001);
  CHECK(load_le<std::uint64_t>(frames[1].data() + 24) == 1002);
  CHECK(frames[2] == Bytes(batch.bytes().begin(), batch.bytes().end()));
  CHECK(test::events_of(test::view_of(frames[2])).size() == 2);
}

TEST_CASE("a subscriber of orders/3/ hears nothing of orders/33/") {
  Fixture f;
  test::RawSubscriber subscriber("inproc://live", "orders/3/", f.context.raw());
  const Buffer batch = placed(f.pool, test::make_batch("payload"), 0);
  REQUIRE_FALSE(f.publish_until_heard(subscriber, batch).empty());
  f.feed->publish("orders", 33, batch);
  f.feed->publish("orders", 3, batch);
  const auto next = subscriber.receive();
  REQUIRE_FALSE(next.empty());
  CHECK(as_text(next[0]) == "orders/3/");
}

TEST_CASE(
    "PR-15 what a slow subscriber makes wait is bounded in bytes; then nothing is published and it "
    "counts") {
  LiveFeedOptions options;
  options.queue_messages = 1'000'000;
  options.queue_bytes = 1 * MiB;
  Fixture f(options);
  test::RawSubscriber subscriber("inproc://live", "", f.context.raw());
  const Buffer batch = placed(f.pool, test::make_batch_of_bytes(128 * KiB), 0);
  REQUIRE_FALSE(f.publish_until_heard(subscriber, batch).empty());
  const std::uint64_t before = f.metrics.live_published.get();
  for (int i = 0; i < 100; ++i) f.feed->publish("orders", 3, batch);
  CHECK(f.metrics.live_dropped.get() > 80);
  CHECK(f.metrics.live_published.get() - before < 20);
  while (!subscriber.receive(std::chrono::milliseconds(50)).empty()) {
  }
  f.feed->publish("orders", 3, batch);
  CHECK_FALSE(subscriber.receive().empty());
}

TEST_CASE("PR-15 G8 a subscriber that reads nothing of one topic does not mute another") {
  LiveFeedOptions options;
  options.queue_messages = 1'000'000;
  options.queue_bytes = 1 * MiB;
  Fixture f(options);
  test::RawSubscriber deaf("inproc://live", "big", f.context.raw());
  test::RawSubscriber healthy("inproc://live", "orders/", f.context.raw());
  const Buffer batch = placed(f.pool, test::make_batch_of_bytes(64 * KiB), 0);
  REQUIRE_FALSE(f.publish_until_heard(healthy, batch).empty());
  while (!healthy.receive(std::chrono::milliseconds(10)).empty()) {
  }
  // What is heard of it tells that its subscription has come.
  REQUIRE(test::eventually([&] {
    static_cast<void>(f.feed->socket().events());
    f.feed->publish("big0", 0, batch);
    return f.feed->queued_bytes() > 0;
  }));
  // Several topics, each as full as it may be.
  for (int topic = 0; topic < 4; ++topic) {
    for (int i = 0; i < 100; ++i) f.feed->publish("big" + std::to_string(topic), 0, batch);
  }
  CHECK(f.metrics.live_dropped.get() > 300);
  CHECK(f.feed->queued_bytes() <= 1 * MiB);
  const std::uint64_t dropped = f.metrics.live_dropped.get();
  for (int i = 0; i < 20; ++i) {
    f.feed->publish("orders", 3, batch);
    CHECK_FALSE(healthy.receive().empty());
  }
  CHECK(f.metrics.live_dropped.get() == dropped);
}

TEST_CASE("without subscribers nothing waits") {
  Fixture f;
  const Buffer batch = placed(f.pool, test::make_batch_of_bytes(128 * KiB), 0);
  for (int i = 0; i < 10'000; ++i) f.feed->publish("orders", 0, batch);
  CHECK(f.metrics.live_dropped.get() == 0);
}

}  // namespace
}  // namespace millrace
