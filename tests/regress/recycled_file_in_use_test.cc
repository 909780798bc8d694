// Retention gave files to the pool that somebody still held: a read, and, worse, a seal whose
// change of the length was late. It cut the file when that was the active segment already, and
// events that had been acked were gone. Whoever had counted the owners had counted one too many.
#include "tests/storage/log_fixture.h"

#include <catch2/catch.hpp>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

TEST_CASE("G1 a seal that is late cuts no file that has become another segment") {
  LogFixture f;
  f.put_many(1, 40'000);
  f.storage.disk().hold(Call::set_length);
  f.put_many(1, 40'000);  // rolls; the seal of the first segment hangs
  REQUIRE(LogFixture::reason(f.storage.trim(Offset{1})) == "");
  for (int i = 0; i < 60; ++i) f.storage.turn();
  f.put_many(1, 40'000);  // rolls, into the file of the first segment if the pool has it
  f.put_many(4, 4000);    // beyond the end of what it held
  f.storage.disk().release(Call::set_length);
  f.storage.settle();
  f.crash(CrashPolicy::all());
  f.require_all(true);
}

TEST_CASE("ST-25 a file that is being read is not given to the pool") {
  auto options = small_log_options();
  options.tail_cache_bytes = 0;
  LogFixture f(1, {.log = options, .cache_bytes = 0});
  f.put_segments(3);
  f.storage.settle();
  f.storage.disk().hold(Call::read);
  const auto reading = f.storage.log().read(Offset{0}, 1 * MiB, [](Result<ReadResult>) {});
  for (int i = 0; i < 5; ++i) f.storage.turn();
  REQUIRE(LogFixture::reason(f.storage.trim(f.known.back().offsets.begin)) == "");
  for (int i = 0; i < 60; ++i) f.storage.turn();
  REQUIRE(f.storage.files_ending(".segment").size() == 1);
  REQUIRE(f.storage.disk().names("pool").size() == 1);  // the segment that nobody reads
  f.storage.disk().release(Call::read);
  f.storage.settle();
  f.require_alive();
}
