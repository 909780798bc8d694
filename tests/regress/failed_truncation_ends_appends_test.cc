// A truncation whose sync failed was read back from the cache, found done, and appends went on from
// the cut, over a medium that still had what was cut.
#include "tests/storage/log_fixture.h"

#include <catch2/catch.hpp>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

TEST_CASE("ST-15 after a truncation that failed the log takes no appends until a restart") {
  for (const Call call : {Call::sync_data, Call::set_length, Call::synced_write, Call::open}) {
    INFO(call_name(call));
    LogFixture f;
    f.put_many(6, 900);
    f.storage.settle();
    const auto open_calls = f.storage.disk().started(Call::open);
    f.storage.disk().inject({.call = call,
                             .error = Errc::storage_error,
                             .nth = 1,
                             .for_ever = false,
                             .path = ".segment"});
    if (call == Call::open) {  // the scan opens the segment first
      f.storage.disk().lift_faults();
      f.storage.disk().inject({.call = call,
                               .error = Errc::storage_error,
                               .nth = 2,
                               .for_ever = false,
                               .path = ".segment"});
    }
    REQUIRE_FALSE(f.storage.truncate(Offset{2}));
    REQUIRE(f.storage.disk().started(Call::open) > open_calls);
    REQUIRE_FALSE(f.storage.log().refusal().empty());
    REQUIRE_FALSE(f.storage.append(make_batch("late")));
    f.reopen();
    REQUIRE(f.storage.log().refusal().empty());
    REQUIRE(f.storage.log().durable_end() >= Offset{2});
    REQUIRE(f.storage.append_and_commit(make_batch("alive")));
  }
}

TEST_CASE("a truncation that was asked for at a wrong place changes nothing and appends go on") {
  LogFixture f;
  f.put(make_batch({{"", "a"}, {"", "b"}, {"", "c"}}));
  f.put_many(2);
  REQUIRE_FALSE(f.storage.truncate(Offset{1}));
  f.require_all(true);
  f.require_alive();
}

// The active segment was closed by then, empty; the next append made another one of the same base
// offset, which named the one that it replaced, and the next start missed that.
TEST_CASE("ST-15 a truncation whose checkpoint failed ends appends until a restart") {
  for (std::uint64_t nth = 1; nth <= 2; ++nth) {
    INFO("write " << nth);
    LogFixture f;
    f.put_many(6, 900);
    f.storage.settle();
    f.storage.disk().inject({.call = Call::synced_write,
                             .error = Errc::storage_full,
                             .nth = nth,
                             .for_ever = false,
                             .path = "checkpoint"});
    REQUIRE_FALSE(f.storage.truncate(Offset{2}));
    REQUIRE_FALSE(f.storage.append(make_batch("late")));
    f.reopen();
    REQUIRE(f.storage.log().refusal().empty());
    f.require_all(true);
    f.require_alive();
    f.reopen();
    f.require_all(true);
  }
}
