// A trim was told that its checkpoint had not been written. The next checkpoint carried the new
// start all the same, and nobody removed what lay below it until the next restart.
#include "tests/storage/log_fixture.h"

#include <catch2/catch.hpp>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

TEST_CASE("ST-25 what lies below a start goes, also when the trim that asked for it failed") {
  LogFixture f;
  f.put_segments(4);
  f.storage.settle();
  SimDisk::Fault once;
  once.call = Call::synced_write;
  once.path = "/checkpoint";
  f.storage.disk().inject(once);
  const Offset start = f.known.back().offsets.begin;
  REQUIRE_FALSE(f.storage.trim(start));
  REQUIRE(f.storage.log().start_offset() == Offset{0});
  REQUIRE(f.storage.files_ending(".segment").size() == 4);
  f.put_many(1);
  f.storage.advance(seconds(3));  // a checkpoint of its own accord
  REQUIRE(f.storage.log().start_offset() == start);
  REQUIRE(f.storage.log().segment_count() == 1);
  REQUIRE(f.storage.files_ending(".segment").size() == 1);
  f.require_alive();
}
