// A full disk that had no room for one more session's checkpoint made the whole log take back what
// was staged and pause: a client that went on opening sessions kept every other one from a log that
// had all its blocks.
#include "tests/storage/log_fixture.h"

#include <catch2/catch.hpp>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

namespace {

// Its segment has all its blocks, and no other is left. Three sessions have room.
LogFixture full_log() {
  SimStorageOptions options{.log = small_log_options(), .pool_bytes = 0};
  options.log.checkpoint_interval_bytes = 1 * GiB;
  options.log.preallocate_bytes_min = options.log.segment_bytes;
  return LogFixture(1, options);
}

// Started again when the disk was full; the three sessions are known.
void start_again_full(LogFixture& f) {
  for (std::uint64_t id = 1; id <= 3; ++id)
    f.put(make_batch("x", {.producer_id = id, .sequence = 0}));
  f.close();
  f.storage.disk().make_path("pool");
  f.storage.disk().set_capacity(f.storage.disk().used_bytes());
  f.open();
}

}  // namespace

TEST_CASE("G4 ST-12 sessions that a full disk has no room for hold no other up") {
  LogFixture f = full_log();
  f.put(make_batch("x", {.producer_id = 1, .sequence = 0}));
  f.storage.settle();
  f.storage.disk().set_capacity(f.storage.disk().used_bytes());
  std::uint64_t sequence = 1, refused_sessions = 0, refused_others = 0;
  for (std::uint64_t id = 2; id < 12; ++id) {
    const auto batch = make_batch("x", {.producer_id = 1, .sequence = sequence});
    const auto range = f.storage.append(batch);
    if (range) f.known.push_back({*range, batch});
    const auto session = make_batch("new", {.producer_id = id, .sequence = 0});
    const auto begun = f.storage.append(session);
    if (begun) f.known.push_back({*begun, session});
    if (!begun) REQUIRE(begun.error().code == Errc::storage_full);
    const bool committed = bool{f.storage.commit()};
    f.note_acked();
    f.adopt();
    const Offset end = f.storage.log().durable_end();
    const bool acked = range && range->end <= end;
    if (range && !acked) REQUIRE_FALSE(committed);
    acked ? ++sequence : ++refused_others;
    if (!begun || begun->end > end) ++refused_sessions;
    f.storage.advance(milliseconds(100));
  }
  REQUIRE(refused_sessions == 8);
  // What was staged together with the first of them.
  REQUIRE(refused_others <= 1);
  // Asked again, they are taken when there is space.
  f.storage.disk().set_capacity(UINT64_MAX);
  const auto late = make_batch("late", {.producer_id = 99, .sequence = 0});
  auto taken = f.storage.append(late);
  for (int i = 0; !taken && i < 3; ++i) {
    REQUIRE(taken.error().code == Errc::storage_full);
    f.storage.advance(seconds(1));
    taken = f.storage.append(late);
  }
  REQUIRE(taken);
  f.known.push_back({*taken, late});
  f.commit();
  f.crash();
  f.require_all(true);
  REQUIRE(f.storage.log().producers().find(99) != nullptr);
}

// The log does not know what blocks its checkpoint has until it has asked once. It asked for one
// session too many, again and again, and each refusal paused the log.
TEST_CASE("G4 ST-12 after a restart on a full disk the sessions that a log knows go on") {
  LogFixture f = full_log();
  start_again_full(f);
  std::uint64_t sequence = 1, id = 4;
  for (int i = 0; i < 14; ++i) {
    const auto stranger = f.storage.append(make_batch("new", {.producer_id = id++, .sequence = 0}));
    if (stranger) REQUIRE_FALSE(f.storage.commit());
    f.storage.advance(milliseconds(100));
    const auto batch = make_batch("x", {.producer_id = 1, .sequence = sequence});
    const auto range = f.storage.append(batch);
    if (!range || !f.storage.commit()) continue;
    f.known.push_back({*range, batch});
    f.note_acked();
    ++sequence;
  }
  // One stranger is staged and taken back, which pauses the log once.
  REQUIRE(sequence > 7);
  // Room that is asked for while nobody waits tells nobody of a failure.
  f.storage.advance(seconds(10));
  REQUIRE(f.storage.append_error().code == Errc::ok);
  f.crash();
  f.require_all(true);
}
