// A segment whose header could not be written left its prepared file in the pool's directory, where
// nobody took it: a log on a full disk left another one with every attempt, for as long as the disk
// was full.
#include "tests/storage/log_fixture.h"

#include <catch2/catch.hpp>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

TEST_CASE("ST-12 attempts at a new segment on a full disk leave no files behind") {
  for (const Call call : {Call::open, Call::synced_write, Call::rename}) {
    for (const bool pooled : {false, true}) {
      INFO(call_name(call) << (pooled ? " of a pooled file" : " of a new file"));
      LogFixture f;
      f.put_many(2, 40'000);
      if (pooled) REQUIRE(LogFixture::reason(f.storage.trim(Offset{1})) == "");
      f.storage.settle();
      REQUIRE(f.storage.disk().names("pool").size() == (pooled ? 1 : 0));
      SimDisk::Fault full;
      full.call = call;
      full.error = Errc::storage_full;
      full.for_ever = true;
      full.path = "pool/";
      f.storage.disk().inject(full);
      for (int i = 0; i < 5; ++i) {
        f.storage.advance(seconds(1));
        REQUIRE(f.storage.append(make_batch_of_bytes(40'000)));
        REQUIRE_FALSE(f.storage.commit());
        f.storage.settle();
        REQUIRE(f.storage.disk().names("pool").empty());
      }
      f.storage.disk().lift_faults();
      f.storage.advance(seconds(1));
      f.require_alive();
    }
  }
}
