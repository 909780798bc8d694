// A log that was trimmed to its end had no segment, and its checkpoint alone said where it goes on.
// When that was lost, the log began at offset 0 again. Now the last segment goes when the next one
// has its file, but for a full disk, and two slots that cannot be read are an error there.
#include "storage/log_files.h"
#include "tests/storage/log_fixture.h"

#include <catch2/catch.hpp>

#include <algorithm>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

TEST_CASE("G2 ST-08 ST-17 a trimmed log whose checkpoint cannot be read gives no offset again") {
  LogFixture f(1, {.log = small_log_options(), .pool_bytes = 0});
  f.put_many(3);
  f.refuse_new_segments();
  REQUIRE(LogFixture::reason(f.storage.trim(f.acked_end)) == "");
  f.storage.settle();
  REQUIRE(f.storage.files_ending(".segment").empty());
  f.close();
  f.storage.disk().lift_faults();
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
  f.refuse_new_segments();
  REQUIRE(LogFixture::reason(f.storage.trim(f.acked_end)) == "");
  f.storage.settle();
  f.close();
  f.storage.disk().lift_faults();
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

TEST_CASE(
    "G2 ST-08 a log that was trimmed to its end and loses its checkpoint gives no offset again") {
  const auto [what, damage] = GENERATE(table<const char*, int>(
      {{"removed", 0}, {"emptied", 1}, {"zeroed", 2}, {"one slot flipped, one zeroed", 3}}));
  const bool by_age = GENERATE(false, true);
  INFO(what << (by_age ? ", taken by retention" : ", trimmed"));
  auto log = small_log_options();
  if (by_age) log.segment_age = log.retention_age = seconds(30);
  LogFixture f(1, {.log = log, .pool_bytes = 0});
  f.put_many(3);
  if (by_age) {
    for (int i = 0; i < 3; ++i) {
      f.storage.advance(seconds(40));
      f.storage.log().apply_retention();
      f.storage.settle();
    }
    f.known.clear();
  } else {
    REQUIRE(LogFixture::reason(f.storage.trim(f.acked_end)) == "");
    f.storage.settle();
  }
  f.require_end_alone();
  f.close();
  auto& disk = f.storage.disk();
  const auto path = f.storage.path(checkpoint_file_name);
  std::vector<std::byte> bytes = disk.read_file(path);
  if (damage == 1) bytes.clear();
  if (damage >= 2) std::fill(bytes.begin(), bytes.end(), std::byte{0});
  if (damage == 3) std::fill_n(bytes.begin(), 4096, std::byte{0xa5});
  damage == 0 ? disk.remove_file(path) : disk.write_file(path, bytes);
  f.open();
  REQUIRE(f.storage.log().refusal() == "");
  REQUIRE(f.storage.log().durable_end() == f.acked_end);
  REQUIRE(f.storage.log().start_offset() == f.acked_end);
  f.require_alive();
  f.reopen();
  f.require_all(true);
}

TEST_CASE("G2 ST-12 a log that kept no file on a full disk has one again when there is room") {
  LogFixture f(1, {.log = small_log_options(), .pool_bytes = 0});
  f.put_many(3);
  f.refuse_new_segments();
  REQUIRE(LogFixture::reason(f.storage.trim(f.acked_end)) == "");
  f.storage.settle();
  REQUIRE(f.storage.files_ending(".segment").empty());
  f.storage.disk().lift_faults();
  SECTION("at the next look at retention") {}
  SECTION("after a restart") { f.reopen(); }
  f.storage.advance(seconds(60));
  f.storage.log().apply_retention();
  f.storage.settle();
  f.require_end_alone();
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
