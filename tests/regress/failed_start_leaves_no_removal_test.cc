// A start began to remove what lay in deleted/ before it had listed topics/. When that list failed,
// the start failed with a removal in flight, and the broker aborted where one line and an exit code
// were due.
#include "tests/broker/shard_fixture.h"

#include <catch2/catch.hpp>

using namespace millrace;
using namespace millrace::test;

TEST_CASE("ST-14 ST-21: a start that cannot list the topics ends with nothing in flight") {
  const std::string left_over = "deleted/" + std::string(32, 'a');
  for (const Errc error : {Errc::storage_error, Errc::overloaded}) {
    ShardFixture shard;
    for (int i = 0; i < 8; ++i)
      shard.disk.write_file(left_over + "/0/" + std::to_string(i), std::vector<std::byte>(10));
    shard.disk.inject({sim::Call::list, error, 1, true, "topics"});
    const auto started = shard.start();
    REQUIRE_FALSE(started);
    CHECK(started.error().code == error);
    REQUIRE(shard.disk.in_flight() == 0);
    shard.process.reset();
    CHECK(shard.disk.exists(left_over + "/0/7"));
    shard.disk.lift_faults();
    shard.must_start();
    shard.settle();
    CHECK(shard.disk.names("deleted").empty());
  }
}
