// Room for a new session's checkpoint was asked for while a commit was in flight. A full disk
// refused the room first, and then the commit: the log took back what it was taking back already,
// and the broker aborted. After any other error of the commit it waited for the end of a cut that
// never began. Refused while a segment's file was being made, it took the segment away from under
// it.
#include "tests/storage/log_fixture.h"

#include <catch2/catch.hpp>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

namespace {

// A commit that will fail is in flight, and batches of more sessions than there is room for wait.
void stage_sessions_beside(LogFixture& f, Errc commit_fails_with) {
  f.put(make_batch("acked", {.producer_id = 1, .sequence = 0}));
  f.storage.settle();
  f.storage.disk().hold(Call::synced_write);
  f.storage.disk().inject(
      {.call = Call::synced_write, .error = commit_fails_with, .path = "segment"});
  REQUIRE(f.storage.append(make_batch("in flight", {.producer_id = 1, .sequence = 1})));
  f.storage.turn();
  f.storage.disk().inject({.call = Call::preallocate,
                           .error = Errc::storage_full,
                           .for_ever = true,
                           .path = "checkpoint"});
  for (std::uint64_t id = 2; id < 20; ++id)
    REQUIRE(f.storage.append(make_batch("staged", {.producer_id = id, .sequence = 0})));
  for (int i = 0; i < 50; ++i) f.storage.turn();
  f.storage.disk().release(Call::synced_write);
  const auto committed = f.storage.commit();
  REQUIRE_FALSE(committed);
  REQUIRE(committed.error().code == commit_fails_with);
  REQUIRE(f.storage.log().durable_end() == Offset{1});
}

}  // namespace

TEST_CASE("ST-12 a commit that a full disk refuses after the room for sessions pauses the log") {
  LogFixture f;
  stage_sessions_beside(f, Errc::storage_full);
  REQUIRE(f.storage.log().refusal().empty());
  REQUIRE(f.storage.log().appended_end() == Offset{1});
  f.storage.disk().lift_faults();
  f.storage.advance(seconds(1));
  f.put(make_batch("again", {.producer_id = 1, .sequence = 1}));
  f.put(make_batch("new", {.producer_id = 2, .sequence = 0}));
  f.crash();
  f.require_all(true);
}

TEST_CASE("ST-12 ST-15 a commit that fails otherwise after it ends appends, and the log closes") {
  LogFixture f;
  stage_sessions_beside(f, Errc::storage_error);
  REQUIRE_FALSE(f.storage.log().refusal().empty());
  f.storage.disk().lift_faults();
  f.reopen();
  f.adopt();
  f.require_all(true);
  f.require_alive();
}

TEST_CASE("ST-12 room that is refused while a segment is made takes nothing back") {
  SimStorageOptions options{.log = small_log_options()};
  options.log.preallocate_bytes_min = options.log.segment_bytes;
  LogFixture f(1, options);
  f.put(make_batch("acked", {.producer_id = 1, .sequence = 0}));
  f.storage.settle();
  auto& disk = f.storage.disk();
  disk.inject({.call = Call::preallocate,
               .error = Errc::storage_full,
               .for_ever = true,
               .path = "checkpoint"});
  for (std::uint64_t id = 2; id < 20; ++id)
    REQUIRE(f.storage.append(make_batch("staged", {.producer_id = id, .sequence = 0})));
  REQUIRE(f.storage.commit().error().code == Errc::storage_full);
  for (std::uint64_t id = 2; id < 4; ++id)
    f.put(make_batch("has room", {.producer_id = id, .sequence = 0}));
  // A session more has the disk asked again; it is long in answering.
  const auto asked = disk.started(Call::preallocate);
  disk.hold(Call::preallocate);
  REQUIRE_FALSE(f.storage.append(make_batch("no room", {.producer_id = 4, .sequence = 0})));
  f.storage.clock().advance(seconds(1));
  for (int i = 0; i < 20; ++i) f.storage.turn();
  REQUIRE(disk.started(Call::preallocate) == asked + 1);
  disk.hold(Call::sync_directory);
  std::uint64_t sequence = 0;
  while (f.storage.log().segment_count() == 1) {
    f.stage(make_batch(std::string(8000, 'x'), {.producer_id = 1, .sequence = ++sequence}));
    for (int i = 0; i < 20; ++i) f.storage.turn();
  }
  for (int i = 0; i < 50; ++i) f.storage.turn();
  REQUIRE(disk.in_flight() == 2);  // the room, and a sync that makes the segment
  const auto closed = disk.started(Call::close);
  disk.release(Call::preallocate);
  for (int i = 0; i < 50; ++i) f.storage.turn();
  REQUIRE(disk.started(Call::close) > closed);  // the checkpoint, after the refusal
  REQUIRE(f.storage.log().has_staged());
  disk.release(Call::sync_directory);
  f.commit();
  f.crash();
  f.require_all(true);
}
