// A segment was removed while its seal was still on its way, and the seal then put an index under
// the name of a segment that was gone: a file that nobody would ever remove.
#include "tests/storage/log_fixture.h"

#include <catch2/catch.hpp>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

TEST_CASE("ST-25 a segment that is removed while it is being sealed leaves no index behind") {
  LogFixture f;
  f.put_many(1, 40'000);
  f.storage.disk().hold(Call::set_length);
  f.put_many(1, 40'000);  // rolls; the seal of the first segment hangs
  REQUIRE(LogFixture::reason(f.storage.trim(Offset{1})) == "");
  for (int i = 0; i < 60; ++i) f.storage.turn();
  f.storage.disk().release(Call::set_length);
  f.storage.settle();
  REQUIRE(f.storage.files_ending(".segment").size() == 1);
  REQUIRE(f.storage.files_ending(".index").empty());
  // Closing waits for a removal that waits for a seal.
  f.storage.disk().hold(Call::set_length);
  f.put_many(1, 40'000);
  REQUIRE(LogFixture::reason(f.storage.trim(Offset{2})) == "");
  f.storage.disk().release(Call::set_length);
  f.close();
  REQUIRE(f.storage.files_ending(".segment").size() == 1);
  REQUIRE(f.storage.files_ending(".index").empty());
}
