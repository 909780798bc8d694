// A checkpoint's slot is read in two steps when it is long. A file that ended where the first step
// does was read again and again, and the broker never started.
#include "tests/storage/log_fixture.h"

#include <catch2/catch.hpp>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

TEST_CASE("ST-08 G9 a checkpoint that ends where its first read does is not read for ever") {
  LogFixture f;
  f.put_many(3);
  f.storage.crash(CrashPolicy::none());
  f.storage.disk().write_file(f.storage.path("checkpoint"), Bytes(16 * KiB, std::byte{0x62}));
  f.open();
  f.require_all(true);
  f.require_alive();
}
