// The first write of a checkpoint made the file and failed before its name was durable. The next
// one found the file, wrote into it and left the name alone: a start that had been told moved back
// when the power went.
#include "tests/storage/log_fixture.h"

#include <catch2/catch.hpp>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

namespace {

// A log that has events and no checkpoint any more.
void lose_checkpoint(LogFixture& f) {
  f.put_many(1);
  f.close();
  f.storage.disk().remove_file(f.storage.path("checkpoint"));
  f.open();
}

void fail_once(LogFixture& f, Call call, Errc error, const std::string& path) {
  SimDisk::Fault once;
  once.call = call;
  once.error = error;
  once.path = path;
  f.storage.disk().inject(once);
}

}  // namespace

TEST_CASE("ST-25 ST-30 a start stays although the first write of the checkpoint failed") {
  LogFixture f;
  lose_checkpoint(f);
  f.put_many(5);
  f.storage.settle();
  fail_once(f, Call::synced_write, Errc::storage_full, "/checkpoint");
  REQUIRE_FALSE(f.storage.trim(Offset{2}));
  REQUIRE(LogFixture::reason(f.storage.trim(Offset{3})) == "");
  f.crash();
  REQUIRE(f.storage.log().start_offset() == Offset{3});
  f.require_all();
}

TEST_CASE("ST-25 ST-30 a start stays although the name of the checkpoint was not synced at first") {
  LogFixture f;
  lose_checkpoint(f);
  // The file is made when its blocks are reserved, before the first commit.
  fail_once(f, Call::sync_directory, Errc::storage_error, "topics/orders/0");
  f.put_many(5);
  REQUIRE(f.storage.disk().faults_hit() == 1);
  REQUIRE(LogFixture::reason(f.storage.trim(Offset{3})) == "");
  f.crash();
  REQUIRE(f.storage.log().start_offset() == Offset{3});
  f.require_all();
}
