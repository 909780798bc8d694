// The file of a new segment kept its name among the free ones until its name in the log was
// durable. The removal of another segment synced the log's directory first, the power went, and the
// file had both names: the pool gave it away again, and its acked events with it. The other way a
// segment on its way out had the name of a free one while its old name could still come back.
#include "tests/storage/log_fixture.h"

#include <catch2/catch.hpp>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

namespace {

void turn(LogFixture& f) {
  for (int i = 0; i < 60; ++i) f.storage.turn();
}

// A roll takes the file that the pool has, beside the removal of another segment; of the syncs that
// hang some are carried out, in any order.
void lose_power_in_a_roll(std::uint64_t seed, std::uint64_t operation) {
  INFO("seed " << seed << " operation " << operation);
  LogFixture f(seed);
  f.put_many(3, 40'000);
  f.storage.settle();
  REQUIRE(LogFixture::reason(f.storage.trim(Offset{1})) == "");
  f.storage.settle();
  REQUIRE(f.storage.disk().names("pool").size() == 1);
  f.close();
  f.storage.disk().write_file("pool/notes.txt", {});  // all names are durable
  f.open();
  f.storage.disk().hold(Call::sync_directory);
  f.storage.log().trim(Offset{2}, [](const Result<void>&) {});
  turn(f);
  f.stage(make_batch_of_bytes(40'000));
  turn(f);
  f.storage.disk().crash_at(operation, CrashPolicy::none());
  f.storage.disk().release(Call::sync_directory);
  (void)f.storage.commit();
  f.crash();
  f.put_many(4, 40'000);
  f.require_all(true);
  f.reopen();
  f.require_all(true);
}

}  // namespace

TEST_CASE("G1 ST-30 a file that became a segment is not offered again when its old name is back") {
  for (std::uint64_t seed = 1; seed <= 8; ++seed)
    for (std::uint64_t operation = 1; operation <= 6; ++operation)
      lose_power_in_a_roll(seed, operation);
}

TEST_CASE("ST-30 a file on its way into a log or out of one is not free at the next start") {
  LogFixture f;
  f.put_many(3, 40'000);
  f.storage.settle();
  f.storage.disk().hold(Call::sync_directory);
  f.storage.log().trim(Offset{1}, [](const Result<void>&) {});
  turn(f);
  f.storage.crash(CrashPolicy::all());
  f.open();
  REQUIRE(f.storage.disk().names("pool").empty());
  f.put_many(4, 40'000);
  f.require_all(true);
}
