#include "storage/retired_segments.h"

#include "tests/storage/log_fixture.h"

#include <catch2/catch.hpp>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

TEST_CASE("retention by size removes the oldest sealed segments and keeps the rest readable") {
  auto options = small_log_options();
  options.retention_bytes = 200 * KiB;
  LogFixture f(1, {.log = options});
  f.put_many(150, 4000);
  f.storage.log().apply_retention();
  REQUIRE(f.storage.run_until([&] { return f.storage.log().start_offset() > Offset{0}; }));
  f.storage.settle();
  REQUIRE(f.storage.log().bytes() <= 264 * KiB);
  REQUIRE(f.storage.files_ending(".segment").size() == f.storage.log().segment_count());
  f.require_all();
  const auto start = f.storage.log().start_offset();
  f.crash();
  REQUIRE(f.storage.log().start_offset() >= start);
  f.require_all();
  f.require_alive();
}

TEST_CASE("retention by age removes what is old and never the active segment") {
  auto options = small_log_options();
  options.retention_age = seconds(100);
  LogFixture f(1, {.log = options});
  f.put_segments(3);
  f.storage.advance(seconds(60));
  f.storage.log().apply_retention();
  f.storage.settle();
  REQUIRE(f.storage.log().start_offset() == Offset{0});
  f.put_segments(5);
  f.storage.advance(seconds(60));
  f.storage.log().apply_retention();
  f.storage.settle();
  const auto start = f.storage.log().start_offset();
  REQUIRE(start > Offset{0});
  REQUIRE(start < f.storage.log().durable_end());
  f.require_all();
  f.storage.advance(seconds(1000));
  f.storage.log().apply_retention();
  f.storage.settle();
  REQUIRE(f.storage.log().segment_count() == 1);
  f.require_alive();
}

TEST_CASE("a clock that jumps far ahead and back removes nothing that a later look would keep") {
  auto options = small_log_options();
  options.retention_age = seconds(100);
  LogFixture f(1, {.log = options});
  f.put_segments(3);
  f.storage.clock().set_wall(WallTime{1});
  f.storage.log().apply_retention();
  f.storage.settle();
  REQUIRE(f.storage.log().start_offset() == Offset{0});
  f.put_many(5);
  f.require_all();
}

TEST_CASE("trim moves the start, also into the middle of a segment, and it stays there") {
  LogFixture f;
  f.put_segments(4);
  const auto end = f.storage.log().durable_end();
  for (const std::uint64_t at :
       {std::uint64_t{3}, end.value / 2, end.value / 2 - 1, end.value - 1}) {
    const auto before = f.storage.log().start_offset();
    REQUIRE(LogFixture::reason(f.storage.trim(Offset{at})) == "");
    REQUIRE(f.storage.log().start_offset() == std::max(before, Offset{at}));
    f.require_all();
    const auto start = f.storage.log().start_offset();
    f.crash();
    REQUIRE(f.storage.log().start_offset() == start);
    f.require_all();
  }
  f.require_alive();
}

TEST_CASE("a trim above the end is clamped, and the log goes on from its end") {
  LogFixture f;
  f.put_segments(3);
  const auto end = f.storage.log().durable_end();
  REQUIRE(LogFixture::reason(f.storage.trim(offset_max)) == "");
  REQUIRE(f.storage.log().start_offset() == end);
  REQUIRE(f.storage.log().durable_end() == end);
  f.require_all();
  f.crash();
  REQUIRE(f.storage.log().start_offset() == end);
  REQUIRE(f.storage.log().durable_end() == end);
  f.require_alive();
}

TEST_CASE("retired segments are kept as segments to be, and used again") {
  auto options = small_log_options();
  options.retention_bytes = 130 * KiB;
  LogFixture f(1, {.log = options});
  for (int i = 0; i < 10; ++i) {
    f.put_many(20, 4000);
    f.storage.log().apply_retention();
    f.storage.settle();
  }
  const auto used = f.storage.disk().used_bytes();
  for (int i = 0; i < 20; ++i) {
    f.put_many(20, 4000);
    f.storage.log().apply_retention();
    f.storage.settle();
    f.require_all();
  }
  REQUIRE(f.storage.disk().used_bytes() <= used + 256 * KiB);
  f.crash(CrashPolicy::random());
  f.require_all();
}
