// A window of a scan that ended exactly at the end of a commit's padding made the next window begin
// behind the place of the scan, and the broker stopped on a broken invariant. Small commits, each
// in a block of its own, more than a window holds.
#include "tests/storage/log_fixture.h"

#include <catch2/catch.hpp>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

TEST_CASE(
    "a log of small commits that is longer than a scan's window is recovered and read from disk") {
  auto log = small_log_options();
  log.segment_bytes = 4 * MiB;
  log.index_interval_bytes = 2 * MiB;
  log.checkpoint_interval_bytes = 64 * MiB;
  log.checkpoint_idle = seconds(1000);
  LogFixture f(1, {.log = log});
  f.put_many(600, 700);
  f.crash();
  f.require_all(true);
  f.require_all(true, 16 * KiB);
}
