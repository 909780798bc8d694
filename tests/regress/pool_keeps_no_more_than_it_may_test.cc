// Kept segment files beyond data.recycle_bytes, which had been lowered, were neither offered nor
// removed, at no start. And what many logs retired at once passed the limit, because a file counted
// only when its move was over.
#include "tests/broker/shard_fixture.h"

#include <catch2/catch.hpp>
#include <fmt/core.h>

using namespace millrace;
using namespace millrace::test;

namespace {

std::uint64_t kept_bytes(ShardFixture& shard) {
  std::uint64_t bytes = 0;
  for (const auto& name : shard.disk.names("pool"))
    bytes += shard.disk.read_file("pool/" + name).size();
  return bytes;
}

void create_and_fill(ShardFixture& shard, const std::string& topic) {
  shard.create(topic);
  for (int i = 0; i < 30; ++i) shard.must_produce(topic, std::string(10'000, 'x'));
}

TrimTopicRequest trim_all(const std::string& topic) {
  return {{topic, {}}, 0, {Where::Kind::before_end, 1}};
}

}  // namespace

TEST_CASE("ST-12 ST-25: kept files above a limit that was lowered are removed by the next start") {
  RunningShard shard;
  create_and_fill(shard, "orders");
  shard.call(trim_all("orders"));
  shard.settle();
  REQUIRE(kept_bytes(shard) > 128 * KiB);
  for (const std::uint64_t limit : {128 * KiB, std::uint64_t{0}}) {
    shard.stop();
    shard.memory.segment_pool_bytes = limit;
    shard.must_start();
    shard.settle();
    CHECK(kept_bytes(shard) <= limit);
  }
  CHECK(shard.disk.names("pool").empty());
}

TEST_CASE("ST-12: what many logs retire at once is kept within the limit") {
  RunningShard shard;
  std::vector<std::string> topics;
  for (int i = 0; i < 10; ++i) topics.push_back(fmt::format("orders-{}", i));
  for (const auto& topic : topics) create_and_fill(shard, topic);
  shard.disk.hold(sim::Call::rename);
  for (const auto& topic : topics) shard.send(trim_all(topic));
  shard.settle_held();
  shard.disk.release(sim::Call::rename);
  shard.settle();
  CHECK(kept_bytes(shard) <= shard.memory.segment_pool_bytes);
  // And what was moved counts no more when it is given away again.
  for (const auto& topic : topics)
    for (int i = 0; i < 30; ++i) shard.must_produce(topic, std::string(10'000, 'x'));
  for (const auto& topic : topics) shard.call(trim_all(topic));
  shard.settle();
  CHECK(kept_bytes(shard) <= shard.memory.segment_pool_bytes);
  CHECK(kept_bytes(shard) > shard.memory.segment_pool_bytes / 2);
}
