// A log that is trimmed to its end has no segment, and its checkpoint alone says where it goes on.
// When neither slot could be read at a start, the log began at offset 0 again.
#include "storage/log_files.h"
#include "tests/storage/log_fixture.h"

#include <catch2/catch.hpp>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

TEST_CASE("G2 ST-08 ST-17 a trimmed log whose checkpoint cannot be read gives no offset again") {
  LogFixture f(1, {.log = small_log_options(), .pool_bytes = 0});
  f.put_many(3);
  REQUIRE(LogFixture::reason(f.storage.trim(f.acked_end)) == "");
  f.storage.settle();
  REQUIRE(f.storage.files_ending(".segment").empty());
  f.close();
  f.storage.disk().inject({.call = Call::read,
                           .error = Errc::storage_error,
                           .nth = 1,
                           .for_ever = true,
                           .path = "checkpoint"});
  REQUIRE_FALSE(f.storage.open());
  f.storage.disk().lift_faults();
  f.open();
  REQUIRE(f.storage.log().durable_end() == f.acked_end);
  f.require_alive();
}

TEST_CASE(
    "G2 ST-08 ST-17 a segment that is not its own tells a trimmed log nothing of its offsets") {
  LogFixture f(1, {.log = small_log_options(), .pool_bytes = 0});
  f.put_many(3);
  // Under this name it is in nobody's place: it goes to the quarantine.
  const auto elsewhere = f.storage.path(segment_file_name(Offset{1'000'000}));
  const auto bytes =
      f.storage.disk().read_file(f.storage.path(f.storage.files_ending(".segment").at(0)));
  REQUIRE(LogFixture::reason(f.storage.trim(f.acked_end)) == "");
  f.storage.settle();
  f.close();
  f.storage.disk().write_file(elsewhere, bytes);
  f.storage.disk().inject({.call = Call::read,
                           .error = Errc::storage_error,
                           .nth = 1,
                           .for_ever = true,
                           .path = "checkpoint"});
  REQUIRE_FALSE(f.storage.open());
  REQUIRE_FALSE(f.storage.disk().exists(elsewhere));
  f.storage.disk().lift_faults();
  f.open();
  REQUIRE(f.storage.log().durable_end() == f.acked_end);
  f.require_alive();
}

TEST_CASE("ST-08 ST-30 a young log whose first checkpoint was torn is empty, not lost") {
  LogFixture f(1, {.log = small_log_options(), .pool_bytes = 0});
  f.close();
  // A loss of power in the middle of the first write of all.
  auto& disk = f.storage.disk();
  const auto path = f.storage.path(checkpoint_file_name);
  std::vector<std::byte> bytes(4096, std::byte{0xa5});
  disk.write_file(path, bytes);
  f.open();
  f.put_many(1);
  f.require_alive();
}
