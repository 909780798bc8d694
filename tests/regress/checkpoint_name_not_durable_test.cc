// The first write of a checkpoint made the file and failed before its name was durable. The next
// one found the file, wrote into it and left the name alone: a start that had been told moved back
// when the power went.
#include "tests/storage/log_fixture.h"

#include <catch2/catch.hpp>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

TEST_CASE("ST-25 ST-30 a start stays although the first write of the checkpoint failed") {
  for (const auto& [call, path] : {std::pair{Call::synced_write, "/checkpoint"},
                                   std::pair{Call::sync_directory, "topics/orders/0"}}) {
    INFO(call_name(call));
    LogFixture f;
    f.put_many(1);
    f.close();
    f.storage.disk().remove_file(f.storage.path("checkpoint"));
    f.open();
    f.put_many(5);
    f.storage.settle();
    SimDisk::Fault once;
    once.call = call;
    once.error = Errc::storage_full;
    once.path = path;
    f.storage.disk().inject(once);
    REQUIRE_FALSE(f.storage.trim(Offset{2}));
    REQUIRE(LogFixture::reason(f.storage.trim(Offset{3})) == "");
    f.crash();
    REQUIRE(f.storage.log().start_offset() == Offset{3});
    f.require_all();
  }
}
