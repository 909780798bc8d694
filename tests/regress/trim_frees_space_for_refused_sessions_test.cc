// Where a quota ended before the disk, sessions that were refused for want of room in a checkpoint
// did not count as having met a full disk: what was trimmed for them was kept for later segments,
// no block became free, and they stayed refused.
#include "tests/broker/shard_fixture.h"

#include <catch2/catch.hpp>

using namespace millrace;
using namespace millrace::test;

namespace {

Bytes session(std::uint64_t id, std::uint64_t sequence = 0) {
  return make_batch("x", {.producer_id = id, .sequence = sequence});
}

bool takes(RunningShard& shard, std::uint64_t id) {
  const auto reply = shard.produce("orders", session(id));
  if (const auto* error = std::get_if<Error>(&reply)) {
    REQUIRE(error->code == Errc::storage_full);
    return false;
  }
  return true;
}

}  // namespace

TEST_CASE("ST-12: under a quota a trim makes room for sessions that were refused") {
  auto options = small_broker_options();
  options.disk_warn_percent = 150;
  options.disk_refuse_percent = 200;
  options.topic_defaults.preallocate_bytes_min = options.topic_defaults.segment_bytes;
  RunningShard shard(1, options);
  shard.create("orders");
  shard.expect<ProducedReply>(shard.produce("orders", session(1)));
  shard.create("ballast");
  for (int i = 0; i < 40; ++i) shard.must_produce("ballast", std::string(10'000, 'x'));
  shard.settle();
  shard.disk.set_capacity(shard.disk.used_bytes());
  std::uint64_t id = 2;
  while (takes(shard, id)) REQUIRE(++id < 100);
  // The pause of those that met the full disk is long over; the session is refused by what is
  // known.
  for (int i = 0; i < 5; ++i) {
    shard.advance(seconds(1));
    REQUIRE_FALSE(takes(shard, id));
  }
  shard.expect<OffsetListReply>(
      shard.call(TrimTopicRequest{{"ballast", {}}, 0, {Where::Kind::before_end, 1}}));
  shard.settle();
  CHECK(shard.disk.names("pool").empty());
  shard.advance(seconds(3));
  CHECK(takes(shard, id));
}
