// A close whose checkpoint reached the page cache and not the medium (its synced write failed) left
// a slot that was valid, newer and clean. The next start believed it, removed the segments below
// its start, and a loss of power took the slot back: what was removed was then missed, and the log
// refused appends.
#include "tests/storage/log_fixture.h"

#include <catch2/catch.hpp>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

TEST_CASE("G1 ST-15 a clean checkpoint whose write failed is made durable before it is believed") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    INFO("seed " << seed);
    LogFixture f(seed);
    f.put_segments(3, 9000);
    f.storage.settle();
    f.storage.advance(seconds(2));
    SimDisk& disk = f.storage.disk();
    disk.inject({.call = Call::synced_write,
                 .error = Errc::storage_full,
                 .nth = 1,
                 .for_ever = true,
                 .path = "checkpoint"});
    REQUIRE_FALSE(f.storage.trim(f.known.back().offsets.begin));
    (void)f.storage.close();
    disk.lift_faults();
    f.open();  // finishes what that checkpoint says was begun
    const Offset start = f.storage.log().start_offset();
    f.crash();
    REQUIRE(f.storage.log().refusal().empty());
    REQUIRE(f.storage.log().start_offset() >= start);
    f.require_all(true);
    f.require_alive();
  }
}
