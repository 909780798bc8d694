// A search by time was under way in a segment that a trim removed, and answered not_found with the
// name of a file, as if the partition were not there.
#include "tests/storage/log_fixture.h"

#include <catch2/catch.hpp>

#include <optional>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

TEST_CASE("ST-25 a search by time in a segment that is removed meanwhile answers the new start") {
  auto options = small_log_options();
  options.tail_cache_bytes = 0;
  LogFixture f(1, {.log = options, .cache_bytes = 0});
  f.put_segments(4);
  f.reopen();  // so that the search has to load an index
  f.storage.settle();
  f.storage.disk().hold(Call::read);
  std::optional<Result<Offset>> found;
  const auto search =
      f.storage.log().find_time(WallTime{0}, [&](Result<Offset> result) { found = result; });
  for (int i = 0; i < 5; ++i) f.storage.turn();
  const Offset start = f.known.back().offsets.begin;
  REQUIRE(LogFixture::reason(f.storage.trim(start)) == "");
  for (int i = 0; i < 60; ++i) f.storage.turn();
  f.storage.disk().release(Call::read);
  REQUIRE(f.storage.run_until([&] { return found.has_value(); }));
  REQUIRE(*found);
  REQUIRE(**found == start);
}
