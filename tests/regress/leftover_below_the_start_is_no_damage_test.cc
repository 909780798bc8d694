// The removal of the oldest segment failed, that of all others went well, or a loss of power took
// only the one back. The leftover was taken for the newest segment with events missing behind it,
// all of them long trimmed, and the log took no more appends.
#include "tests/storage/log_fixture.h"

#include <catch2/catch.hpp>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

TEST_CASE("ST-25 a trimmed segment that outlives the newer ones is a leftover, not damage") {
  auto log = small_log_options();
  log.segment_age = seconds(30);
  LogFixture f(1, {.log = log, .pool_bytes = 0});
  f.put_segments(4);
  const auto oldest = f.storage.segment_path(0);
  const Offset second{std::stoull(f.storage.files_ending(".segment").at(1))};
  // The last segment is sealed as well, and has no successor with a file.
  f.storage.advance(seconds(60));
  f.storage.log().apply_retention();
  f.storage.settle();
  f.storage.disk().inject({.call = Call::remove,
                           .error = Errc::storage_error,
                           .nth = 1,
                           .for_ever = true,
                           .path = oldest});
  REQUIRE(LogFixture::reason(f.storage.trim(second)) == "");
  f.storage.settle();
  const Offset end = f.storage.log().durable_end();
  f.refuse_new_segments();
  REQUIRE(LogFixture::reason(f.storage.trim(end)) == "");
  f.storage.settle();
  f.storage.disk().lift_faults();
  f.known.clear();
  f.storage.crash(CrashPolicy::none());
  // What is in the way of the test: segments that an orderly removal leaves.
  for (const auto& name : f.storage.files_ending(".segment")) {
    if (f.storage.path(name) != oldest) f.storage.disk().remove_file(f.storage.path(name));
  }
  REQUIRE(f.storage.files_ending(".segment").size() == 1);
  f.open();
  REQUIRE(f.storage.log().refusal() == "");
  REQUIRE(f.storage.log().start_offset() == end);
  REQUIRE(f.storage.log().durable_end() == end);
  REQUIRE(f.storage.log().corrupt_ranges().empty());
  f.put_many(3);
  f.require_all();
  f.reopen();
  f.require_all();
}
