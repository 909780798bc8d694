#include "storage/truncation.h"

#include "tests/storage/log_fixture.h"

#include <catch2/catch.hpp>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

TEST_CASE("truncate drops a suffix for good, within a segment and across segments") {
  for (const std::uint64_t keep : {0u, 1u, 10u, 20u, 45u}) {
    INFO(keep);
    LogFixture f;
    f.put_many(50, 4000);
    REQUIRE(f.storage.log().segment_count() > 3);
    REQUIRE(LogFixture::reason(f.storage.truncate(Offset{keep})) == "");
    REQUIRE(f.storage.log().durable_end() == Offset{keep});
    REQUIRE(f.storage.log().appended_end() == Offset{keep});
    f.known.resize(keep);
    f.acked_end = Offset{keep};
    f.require_all();
    f.crash(CrashPolicy::random());
    REQUIRE(f.storage.log().durable_end() == Offset{keep});
    f.require_all();
    f.put_many(3);
    f.crash();
    f.require_all();
    REQUIRE(f.storage.log().durable_end() == Offset{keep + 3});
  }
}

TEST_CASE("ST-03 batches that a truncation dropped never come back behind new ones") {
  LogFixture f;
  f.put_many(12, 3000);
  REQUIRE(LogFixture::reason(f.storage.truncate(Offset{4})) == "");
  f.known.resize(4);
  f.acked_end = Offset{4};
  // The same size, so that the old successors lie exactly where the new one's would.
  f.put(make_batch_of_bytes(3000, 'N'));
  f.crash();
  REQUIRE(f.storage.log().durable_end() == Offset{5});
  f.require_all();
}
