// A retired file was the pool's as soon as it had been renamed, and became another segment before
// the renaming was durable. After a loss of power its old name was back, over another segment's
// header, and the recovery took it for a foreign file.
#include "tests/storage/log_fixture.h"

#include <catch2/catch.hpp>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

TEST_CASE("ST-25 ST-30 a retired file becomes another segment only after its new name is durable") {
  LogFixture f;
  f.put_many(2, 40'000);
  f.storage.settle();
  f.storage.disk().hold(Call::sync_directory);
  REQUIRE(LogFixture::reason(f.storage.trim(Offset{1})) == "");
  for (int i = 0; i < 60; ++i) f.storage.turn();
  f.stage(make_batch_of_bytes(40'000));  // rolls
  for (int i = 0; i < 60; ++i) f.storage.turn();
  f.crash();
  REQUIRE(f.storage.disk().names("quarantine").empty());
  f.require_all(true);
  f.require_alive();
}
