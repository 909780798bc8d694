// The scrubber against a shard on a simulated disk: what it finds, how fast it goes, and that it is
// in nobody's way.
#include "tests/broker/shard_fixture.h"

using namespace millrace;
using namespace millrace::test;

namespace {

constexpr std::uint64_t rate = 1 * MiB;

BrokerOptions scrubbing_options() {
  BrokerOptions options = small_broker_options();
  options.scrub_bytes_per_second = rate;
  options.scrub_interval = seconds(3600);
  return options;
}

// About `bytes` of events, in batches of about 3,000.
void fill(RunningShard& shard, std::string_view topic, std::size_t bytes,
          PartitionIndex partition = 0) {
  for (std::size_t i = 0; i < bytes / 3000; ++i) {
    shard.must_produce(topic, std::to_string(i) + std::string(2900, 'x'), partition);
  }
}

std::string segment_path(RunningShard& shard, const TopicInfoReply& topic, std::string_view name) {
  (void)shard;
  return "topics/" + topic.id.to_hex() + "/0/" + std::string(name);
}

ShardMetrics& metrics_of(RunningShard& shard) { return shard.process->metrics; }

}  // namespace

TEST_CASE("ST-05, G7: the scrubber finds a flipped byte that nobody has read yet") {
  RunningShard shard(1, scrubbing_options());
  const auto topic = shard.create("orders");
  fill(shard, "orders", 200'000);
  shard.restart();  // nothing is in memory now
  shard.disk.corrupt(segment_path(shard, topic, "00000000000000000000.segment"), 4096 + 1000, 0x20);
  REQUIRE(metrics_of(shard).corrupt_ranges.get() == 0);

  shard.advance(seconds(5));

  CHECK(metrics_of(shard).scrub_passes.get() == 1);
  CHECK(metrics_of(shard).scrub_faults.get() == 1);
  CHECK(metrics_of(shard).corrupt_ranges.get() == 1);
  CHECK(metrics_of(shard).corrupt_events.get() == 1);
  // The rest was read all the same, and stays readable.
  CHECK(metrics_of(shard).scrubbed_bytes.get() > 180'000);
  CHECK(shard.refusal(shard.call(ShardFixture::fetch_request("orders", 0))) == Errc::corrupt);
  CHECK(shard.read_all("orders", 1).size() == 200'000 / 3000 - 1);
}

TEST_CASE("the scrubber reads the disk, not what memory still holds") {
  RunningShard shard(1, scrubbing_options());
  const auto topic = shard.create("orders");
  fill(shard, "orders", 30'000);
  shard.disk.corrupt(segment_path(shard, topic, "00000000000000000000.segment"), 4096 + 1000, 0x20);
  shard.advance(seconds(3700));
  CHECK(metrics_of(shard).scrub_passes.get() == 2);
  CHECK(metrics_of(shard).corrupt_ranges.get() == 1);
}

TEST_CASE("the scrubber reads no faster than it may, over all partitions") {
  RunningShard shard(1, scrubbing_options());
  shard.create("a", 2);
  shard.create("b");
  fill(shard, "a", 1'500'000, 0);
  fill(shard, "a", 1'500'000, 1);
  fill(shard, "b", 1'500'000);
  shard.restart();
  std::uint64_t before = 0;
  int busy_seconds = 0;
  while (metrics_of(shard).scrub_passes.get() == 0) {
    REQUIRE(busy_seconds < 30);
    shard.advance(seconds(1));
    ++busy_seconds;
    const std::uint64_t now = metrics_of(shard).scrubbed_bytes.get();
    // One read more than the rate may fall into a second.
    CHECK(now - before <= rate + 512 * KiB);
    before = now;
  }
  CHECK(before > 4'400'000);
  CHECK(busy_seconds >= 4);
}

TEST_CASE("a topic that is deleted while the scrubber reads it does not stop the pass") {
  RunningShard shard(1, scrubbing_options());
  shard.create("a");
  shard.create("b");
  fill(shard, "a", 100'000);
  fill(shard, "b", 100'000);
  shard.restart();
  shard.disk.hold(sim::Call::read);
  shard.clock.advance_to(shard.clock.now() + milliseconds(20));
  shard.settle_held();  // a read of "a" is under way
  REQUIRE(shard.disk.in_flight() > 0);
  const auto deletion = shard.send(DeleteTopicRequest{{"a", {}}});
  shard.settle_held();
  shard.disk.release(sim::Call::read);
  shard.expect<DoneReply>(shard.wait(deletion));
  shard.advance(seconds(5));
  CHECK(metrics_of(shard).scrub_passes.get() == 1);
  CHECK(metrics_of(shard).scrubbed_bytes.get() > 90'000);
}

TEST_CASE("ST-17: a place that the disk cannot read is counted and the pass goes on elsewhere") {
  RunningShard shard(1, scrubbing_options());
  const auto topic = shard.create("a");
  shard.create("b");
  fill(shard, "a", 100'000);
  fill(shard, "b", 100'000);
  shard.restart();
  shard.disk.make_unreadable(segment_path(shard, topic, "00000000000000000000.segment"), 8192,
                             12288);
  shard.advance(seconds(5));
  CHECK(metrics_of(shard).scrub_faults.get() >= 1);
  CHECK(metrics_of(shard).scrub_passes.get() == 1);
  CHECK(metrics_of(shard).scrubbed_bytes.get() > 90'000);
  CHECK(metrics_of(shard).corrupt_ranges.get() == 0);  // unreadable is not corrupt
}

TEST_CASE("an orderly stop does not wait for the end of a pass") {
  RunningShard shard(1, scrubbing_options());
  shard.create("a");
  fill(shard, "a", 3'000'000);
  shard.restart();
  shard.advance(milliseconds(100));
  REQUIRE(metrics_of(shard).scrub_passes.get() == 0);
  const Instant begin = shard.clock.now();
  shard.stop();
  CHECK((shard.clock.now() - begin).ns < seconds(2).ns);
  shard.must_start();
}

TEST_CASE("a rate of zero never reads") {
  RunningShard shard;
  shard.create("a");
  fill(shard, "a", 100'000);
  shard.advance(seconds(100));
  CHECK(metrics_of(shard).scrubbed_bytes.get() == 0);
  CHECK(metrics_of(shard).scrub_passes.get() == 0);
}
