// A checkpoint whose first write failed left its file's name in the cache. The next write found the
// file and did not sync the name: a trim was answered, and a loss of power took the whole
// checkpoint and brought the old start back.
#include "tests/storage/log_fixture.h"

#include <catch2/catch.hpp>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

TEST_CASE("ST-30 the name of a checkpoint is durable although its first write failed") {
  LogFixture f;
  f.storage.disk().inject({.call = Call::synced_write,
                           .error = Errc::storage_full,
                           .nth = 1,
                           .for_ever = false,
                           .path = "checkpoint"});
  f.put_many(6);
  f.storage.advance(seconds(2));
  REQUIRE(f.storage.disk().faults_hit() == 1);
  REQUIRE(f.storage.trim(Offset{3}));
  f.crash();
  REQUIRE(f.storage.log().start_offset() == Offset{3});
  f.require_all(true);
}

TEST_CASE("ST-30 the name of a clean checkpoint is durable before it is believed") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    INFO("seed " << seed);
    LogFixture f(seed);
    f.storage.disk().inject({.call = Call::synced_write,
                             .error = Errc::storage_full,
                             .nth = 1,
                             .for_ever = true,
                             .path = "checkpoint"});
    f.put_many(6);
    REQUIRE_FALSE(f.storage.trim(Offset{3}));
    (void)f.storage.close();
    f.storage.disk().lift_faults();
    f.open();
    const Offset start = f.storage.log().start_offset();
    f.crash();
    REQUIRE(f.storage.log().start_offset() >= start);
    f.require_all(true);
  }
}
