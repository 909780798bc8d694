#include "tests/storage/log_fixture.h"

#include <catch2/catch.hpp>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

// ST-12: freeing space works exactly when the disk is full.

namespace {

// And without a checkpoint but the one that a new segment gets.
SimStorageOptions without_pool() {
  SimStorageOptions options{.log = small_log_options(), .pool_bytes = 0};
  options.log.checkpoint_interval_bytes = 1 * GiB;
  return options;
}

// One batch of each of these producers, a commit each. Answers why it ended.
Error put_sessions(LogFixture& f, std::uint64_t first, std::uint64_t count,
                   std::uint64_t sequence = 0) {
  for (std::uint64_t id = first; id < first + count; ++id) {
    const auto batch = make_batch("x", {.producer_id = id, .sequence = sequence});
    const auto range = f.storage.append(batch);
    if (!range) return range.error();
    const auto committed = f.storage.commit();
    f.note_acked();
    if (!committed) return committed.error();
    f.known.push_back({*range, batch});
  }
  return Error{};
}

// No block is left.
void fill(LogFixture& f) {
  f.storage.settle();
  f.storage.disk().set_capacity(f.storage.disk().used_bytes());
}

void require_trimmed(LogFixture& f) {
  const auto used = f.storage.disk().used_bytes();
  const auto segments = f.storage.log().segment_count();
  INFO(f.storage.disk().trace());
  REQUIRE(LogFixture::reason(f.storage.trim(f.acked_end)) == "");
  f.storage.settle();
  REQUIRE(f.storage.log().start_offset() == f.acked_end);
  REQUIRE(f.storage.log().segment_count() <= 1);
  if (segments > 1) REQUIRE(f.storage.disk().used_bytes() < used);
}

}  // namespace

TEST_CASE("ST-12 a full log of many sessions is trimmed, and has space again") {
  for (const std::uint64_t sessions : {4u, 70u, 256u}) {
    INFO(sessions << " sessions");
    LogFixture f(1, without_pool());
    f.put_segments(3);
    // So many that the state of a log outgrows what its checkpoint held so far.
    for (std::uint64_t sequence = 0; sequence < 8; ++sequence) {
      REQUIRE(put_sessions(f, 1, sessions, sequence).code == Errc::ok);
    }
    fill(f);
    require_trimmed(f);
    f.require_all(true);
  }
}

TEST_CASE("ST-12 a full log of one segment that is trimmed to its end has space again") {
  LogFixture f(1, without_pool());
  f.put_many(12, 1000);
  REQUIRE(f.storage.log().segment_count() == 1);
  fill(f);
  const auto used = f.storage.disk().used_bytes();
  require_trimmed(f);
  f.require_end_alone();
  REQUIRE(f.storage.disk().used_bytes() + 32 * KiB < used);
  f.require_alive();
  f.reopen();
  f.require_all(true);
  REQUIRE(LogFixture::reason(f.storage.trim(f.acked_end)) == "");
  f.storage.settle();
  f.crash();
  f.require_alive();
  f.crash();
  f.require_all(true);
}

TEST_CASE("ST-12 a segment that is written while it is trimmed to its end goes when it is idle") {
  LogFixture f(1, without_pool());
  f.put_many(1, 1000);
  f.storage.disk().hold(Call::preallocate);
  f.put_many(12, 1000);  // the next blocks are being reserved
  const bool reserves = f.storage.disk().in_flight() > 0;
  REQUIRE(reserves);
  REQUIRE(LogFixture::reason(f.storage.trim(f.acked_end)) == "");
  REQUIRE(f.storage.files_ending(".segment").size() == 1);
  f.storage.disk().release(Call::preallocate);
  f.storage.settle();
  f.require_end_alone();
  f.require_alive();
}

TEST_CASE("ST-12 whatever is left of the disk when a log begins, what was acked can be trimmed") {
  std::size_t trimmed = 0;
  for (std::uint64_t spare = 0; spare <= 160 * KiB; spare += 4 * KiB) {
    INFO("spare " << spare);
    LogFixture f(1, without_pool());
    f.storage.disk().set_capacity(f.storage.disk().used_bytes() + spare);
    const Error why = put_sessions(f, 1, 256);
    if (why.code != Errc::ok) REQUIRE(why.code == Errc::storage_full);
    if (f.acked_end == Offset{0}) continue;
    require_trimmed(f);
    ++trimmed;
  }
  REQUIRE(trimmed > 10);
}

TEST_CASE("ST-12 G4 a session that a full disk has no room to remember is refused, others go on") {
  auto options = without_pool();
  options.log.preallocate_bytes_min = options.log.segment_bytes;
  LogFixture f(1, options);
  f.put_many(1);
  fill(f);
  const Error why = put_sessions(f, 1, 256);
  REQUIRE(why.code == Errc::storage_full);
  const Offset end = f.acked_end;
  REQUIRE(end == Offset{4});  // three sessions fit the block that every log has
  REQUIRE(f.storage.log().durable_end() == end);
  REQUIRE(f.storage.log().appended_end() == end);
  REQUIRE(put_sessions(f, 1, 1, 1).code == Errc::ok);
  f.crash();
  f.require_all(true);
  REQUIRE(f.storage.log().producers().find(1) != nullptr);
}

TEST_CASE("ST-12 after a restart on a full disk a log is trimmed") {
  for (const auto& policy : {CrashPolicy::none(), CrashPolicy::kill(), CrashPolicy::random()}) {
    INFO("keep " << policy.to_string());
    LogFixture f(1, without_pool());
    f.put_segments(3);
    REQUIRE(put_sessions(f, 1, 100).code == Errc::ok);
    // The sessions are not in a checkpoint yet; the room for them is durable.
    f.storage.crash(policy);
    f.storage.disk().make_path("pool");
    f.storage.disk().set_capacity(f.storage.disk().used_bytes());
    f.open();
    f.adopt();
    require_trimmed(f);
    f.require_all(true);
  }
}

TEST_CASE("ST-12 retention works on a full disk") {
  LogFixture f(1, without_pool());
  f.put_segments(4);
  REQUIRE(put_sessions(f, 1, 100).code == Errc::ok);
  fill(f);
  const auto used = f.storage.disk().used_bytes();
  auto options = small_log_options();
  options.retention_bytes = 64 * KiB;
  f.storage.log().set_options(options);
  f.storage.log().apply_retention();
  f.storage.settle();
  REQUIRE(f.storage.log().segment_count() < 4);
  REQUIRE(f.storage.disk().used_bytes() < used);
  f.require_all(true);
}

TEST_CASE("ST-12 a truncation works on a full disk") {
  LogFixture f(1, without_pool());
  f.put_segments(3);
  REQUIRE(put_sessions(f, 1, 100).code == Errc::ok);
  fill(f);
  REQUIRE(LogFixture::reason(f.storage.truncate(Offset{2})) == "");
  REQUIRE(f.storage.log().durable_end() == Offset{2});
}

TEST_CASE("ST-12 a pool whose directory cannot grow keeps no file, and the space is free") {
  LogFixture f;
  f.put_segments(4);
  fill(f);
  const auto used = f.storage.disk().used_bytes();
  SimDisk::Fault no_room{.call = Call::rename, .error = Errc::storage_full, .path = "segment"};
  no_room.for_ever = true;
  f.storage.disk().inject(no_room);
  require_trimmed(f);
  REQUIRE(f.storage.disk().used_bytes() < used);
}

TEST_CASE("ST-12 ST-25 a trimmed segment that cannot be kept for later gives its space back") {
  LogFixture f;
  f.put_segments(4);
  fill(f);
  const auto used = f.storage.disk().used_bytes();
  f.storage.disk().inject({.call = Call::rename,
                           .error = Errc::storage_full,
                           .nth = 1,
                           .for_ever = true,
                           .path = ".moving"});
  require_trimmed(f);
  REQUIRE(f.storage.disk().faults_hit() > 1);
  REQUIRE(f.storage.disk().names("pool").empty());
  REQUIRE(f.storage.disk().used_bytes() + 3 * 64 * KiB <= used);
}
