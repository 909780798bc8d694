// The index of a recovered active segment was being rebuilt when the segment was sealed. The
// rebuild then said that the segment ended where it had begun to look, the next checkpoint named
// that place for the end of the log, and after a crash new batches were written over acked ones.
#include "tests/storage/log_fixture.h"

#include <catch2/catch.hpp>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

TEST_CASE("G1 an index that is rebuilt while its segment is sealed moves no end") {
  auto options = small_log_options();
  options.tail_cache_bytes = 0;
  LogFixture f(1, {.log = options, .cache_bytes = 0});
  // A restart behind a checkpoint: the front of the active segment is not in the index.
  constexpr std::size_t whole_block = 4104;  // makes a batch of exactly 4,096 bytes
  f.put_many(5, whole_block);
  f.storage.advance(seconds(2));
  f.put_many(2, whole_block);
  f.crash();
  f.put_many(2, whole_block);
  f.storage.settle();
  f.storage.disk().hold(Call::read);
  bool found = false;
  const auto search = f.storage.log().find_time(WallTime{0}, [&](Result<Offset>) { found = true; });
  for (int i = 0; i < 5; ++i) f.storage.turn();
  // The segment grows, and is sealed while its successor has no file yet.
  f.put_many(3, whole_block);
  f.storage.disk().hold(Call::rename);
  f.stage(make_batch_of_bytes(40'000));
  for (int i = 0; i < 30; ++i) f.storage.turn();
  const auto bytes = f.storage.log().bytes();
  f.storage.disk().release(Call::read);
  for (int i = 0; i < 30; ++i) f.storage.turn();
  REQUIRE(found);
  REQUIRE(f.storage.log().bytes() == bytes);
  REQUIRE(f.storage.read_disk(f.known[f.known.size() - 2].offsets.begin));
  REQUIRE(LogFixture::reason(f.storage.trim(Offset{1})) == "");  // writes a checkpoint
  f.crash();
  f.put_many(3);
  f.require_all(true);
}
