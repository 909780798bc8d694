#include "storage/log.h"

#include "tests/storage/log_fixture.h"

#include <catch2/catch.hpp>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

TEST_CASE("a new log is empty") {
  LogFixture f;
  REQUIRE(f.storage.log().start_offset() == Offset{0});
  REQUIRE(f.storage.log().durable_end() == Offset{0});
  REQUIRE(f.storage.log().appended_end() == Offset{0});
  REQUIRE(f.storage.log().refusal().empty());
  f.require_all();
  f.reopen();
  REQUIRE(f.storage.log().durable_end() == Offset{0});
}

TEST_CASE("a clean close and open scans no batches and reads little") {
  LogFixture f;
  f.put_segments(4);
  f.close();
  const auto reads = f.storage.disk().started(Call::read);
  f.open();
  // A header and an index for each segment, a checkpoint slot or two.
  REQUIRE(f.storage.disk().started(Call::read) - reads <= 2 * 4 + 4);
  f.require_all();
  f.require_alive();
}

TEST_CASE(
    "close makes what was staged durable or leaves it unacked, and refuses appends from then on") {
  LogFixture f;
  f.put_many(3);
  f.stage(make_batch("last"));
  f.close();
  f.open();
  REQUIRE(f.storage.log().durable_end() >= Offset{3});
  f.adopt();
  f.require_all();
  REQUIRE(f.storage.disk().open_files() <= 8);
}

TEST_CASE("a closed log leaves no file open") {
  LogFixture f;
  f.put_segments(3);
  f.require_all(true);
  f.close();
  REQUIRE(f.storage.disk().open_files() == 0);
}

TEST_CASE("a segment that cannot be opened at the start is left where it is") {
  LogFixture f;
  f.put_segments(3);
  f.close();
  for (std::uint64_t nth = 1; nth <= 6; ++nth) {
    SimDisk::Fault once;
    once.call = Call::open;
    once.error = Errc::overloaded;
    once.nth = nth;
    f.storage.disk().inject(once);
    if (!f.storage.open()) continue;
    f.close();
  }
  f.open();
  REQUIRE(f.storage.log().refusal().empty());
  REQUIRE(f.storage.log().corrupt_ranges().empty());
  f.require_all(true);
}
