// Somebody set the wall clock ten years ahead, and retention by age removed everything at its next
// look; and a log that was appended to meanwhile did so again after the clock was set right.
#include "tests/storage/log_fixture.h"

#include <catch2/catch.hpp>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

namespace {

constexpr std::int64_t ten_years_ns = seconds(3653ll * 86'400).ns;

void look(LogFixture& f) {
  f.storage.log().apply_retention();
  f.storage.settle();
}

}  // namespace

TEST_CASE("PS-07 retention by age removes nothing because the clock was set") {
  auto log = small_log_options();
  log.retention_age = seconds(2 * 86'400);
  LogFixture f(1, {.log = log});
  f.put_segments(3);
  const WallTime right = f.storage.clock().wall();
  look(f);
  f.storage.clock().set_wall(WallTime{right.ns + ten_years_ns});
  look(f);
  f.put_segments(5);
  f.storage.clock().set_wall(right);
  look(f);
  // Long after the pause: what was appended meanwhile does not make the rest old.
  f.storage.advance(seconds(3 * 3600));
  look(f);
  look(f);
  REQUIRE(f.storage.log().start_offset() == Offset{0});
  f.require_all();
  f.storage.advance(seconds(3 * 86'400));
  look(f);
  REQUIRE(f.storage.log().start_offset() > Offset{0});
}

TEST_CASE("PS-07 a clock that stays where it was set is believed after an hour") {
  auto log = small_log_options();
  log.retention_age = seconds(2 * 86'400);
  LogFixture f(1, {.log = log});
  f.put_segments(3);
  look(f);
  f.storage.clock().set_wall(WallTime{f.storage.clock().wall().ns + ten_years_ns});
  look(f);
  REQUIRE(f.storage.log().start_offset() == Offset{0});
  f.storage.advance(seconds(3601));
  look(f);
  REQUIRE(f.storage.log().start_offset() > Offset{0});
}
