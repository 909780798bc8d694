// A truncation cut a sealed segment and left its index. When the segment had grown to the same end
// again and its new index could not be written, the old one was believed: a search by time found a
// wrong place and reported damage where there was none.
#include "tests/storage/log_fixture.h"

#include <catch2/catch.hpp>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

TEST_CASE("ST-07 an index does not outlive the truncation of its segment") {
  auto options = small_log_options();
  options.tail_cache_bytes = 0;
  LogFixture f(1, {.log = options, .cache_bytes = 0});
  f.put_segments(3, 4000);
  f.storage.settle();
  const Offset end{std::stoull(f.storage.files_ending(".segment").at(1))};
  REQUIRE(LogFixture::reason(f.storage.truncate(Offset{3})) == "");
  REQUIRE(f.storage.files_ending(".index").empty());
  f.known.resize(3);
  f.acked_end = Offset{3};
  f.storage.advance(seconds(10));
  const WallTime later = f.storage.clock().wall();
  SimDisk::Fault no_index;
  no_index.call = Call::open;
  no_index.for_ever = true;
  no_index.path = ".index";
  f.storage.disk().inject(no_index);
  // Other batches up to the same offset; the next one rolls.
  f.put(make_batch(std::vector<TestEvent>(end.value - 4, TestEvent{"", "x"})));
  f.put(make_batch_of_bytes(40'000));
  f.put(make_batch_of_bytes(40'000));
  f.storage.settle();
  f.storage.disk().lift_faults();
  f.reopen();
  REQUIRE(Offset{std::stoull(f.storage.files_ending(".segment").at(1))} == end);
  REQUIRE(*f.storage.find_time(later) == Offset{3});
  REQUIRE(f.storage.log().corrupt_ranges().empty());
  f.require_all(true);
}
