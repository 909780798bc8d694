// A segment began, with a header and no batch yet, and the watch was set back before the first
// batch came: the process was killed between, or the log was quiet and its old segment had grown
// old. The first batches were then older than their segment, and a search for a time between looked
// in the segment before and answered one batch too early.
#include "tests/storage/log_fixture.h"

#include <catch2/catch.hpp>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

namespace {

void require_searches_meet_a_new_batch(LogFixture& f) {
  f.storage.clock().set_wall(WallTime{f.storage.clock().wall().ns - seconds(5).ns});
  f.put_many(1);
  const WallTime appended = f.storage.log().last_append_time();
  REQUIRE(*f.storage.find_time(appended) == f.known.back().offsets.begin);
  REQUIRE(*f.storage.find_time(WallTime{appended.ns + 1}) == f.known.back().offsets.end);
}

}  // namespace

TEST_CASE(
    "PS-07 a kill before a segment's first batch, and the watch set back, mislead no search") {
  LogFixture f;
  const auto segments = [&] { return f.storage.files_ending(".segment").size(); };
  while (f.storage.log().segment_count() < 2) {
    f.commit();
    f.storage.advance(seconds(10));
    f.stage(make_batch_of_bytes(4000));
  }
  REQUIRE(f.storage.run_until([&] { return segments() == 2; }));
  f.crash(CrashPolicy::kill());
  REQUIRE(segments() == 2);
  REQUIRE(f.known.back().offsets.end == f.storage.log().durable_end());
  require_searches_meet_a_new_batch(f);
}

TEST_CASE("PS-07 a quiet log's new segment, and the watch set back, mislead no search") {
  SimStorageOptions options{.log = small_log_options()};
  options.log.segment_age = seconds(60);
  LogFixture f(1, options);
  f.put_many(3);
  f.storage.advance(seconds(90));
  f.storage.log().apply_retention();
  f.storage.settle();
  REQUIRE(f.storage.log().segment_count() == 2);
  require_searches_meet_a_new_batch(f);
}
