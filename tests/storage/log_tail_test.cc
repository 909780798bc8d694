#include "storage/log_tail.h"

#include "tests/storage/log_fixture.h"

#include <catch2/catch.hpp>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

TEST_CASE("appended batches get the next offsets and are durable after one flush") {
  LogFixture f;
  REQUIRE(f.stage(make_batch({{"k", "a"}, {"", "b"}})) == OffsetRange{Offset{0}, Offset{2}});
  REQUIRE(f.stage(make_batch("c")) == OffsetRange{Offset{2}, Offset{3}});
  REQUIRE(f.storage.log().has_staged());
  REQUIRE(f.storage.log().staged_bytes() > 0);
  REQUIRE(f.storage.log().durable_end() == Offset{0});
  REQUIRE(f.storage.log().appended_end() == Offset{3});
  f.commit();
  REQUIRE(f.storage.log().durable_end() == Offset{3});
  REQUIRE_FALSE(f.storage.log().has_staged());
  f.require_all();
}

TEST_CASE("what arrives while a commit is in flight leaves with the next one") {
  LogFixture f;
  f.put_many(1);
  f.storage.settle();
  const auto writes = f.storage.disk().started(Call::synced_write);
  f.storage.disk().hold(Call::synced_write);
  f.stage(make_batch("first"));
  f.storage.turn();
  for (int i = 0; i < 20; ++i) f.stage(make_batch("later"));
  for (int i = 0; i < 5; ++i) f.storage.turn();
  REQUIRE(f.storage.disk().started(Call::synced_write) == writes + 1);
  REQUIRE(f.storage.log().durable_end() == Offset{1});
  f.storage.disk().release(Call::synced_write);
  f.commit();
  REQUIRE(f.storage.disk().started(Call::synced_write) == writes + 2);
  f.require_all();
}

TEST_CASE("a batch larger than a slab is stored and read whole") {
  LogFixture f;
  f.put(make_batch("small"));
  f.put(make_batch_of_bytes(200 * KiB));
  f.put(make_batch("after"));
  f.require_all();
  f.require_all(true, 1);
  f.crash();
  REQUIRE(f.storage.log().durable_end() == Offset{3});
  f.require_all(true);
  f.require_alive();
}

TEST_CASE("a batch above the limit is refused and one at the limit is taken") {
  LogFixture f;
  const auto limit = f.storage.options().log.batch_bytes_max;
  const auto refused = f.storage.append(make_batch_of_bytes(limit + 64));
  REQUIRE_FALSE(refused);
  REQUIRE(refused.error().code == Errc::too_large);
  f.put(make_batch_of_bytes(limit));
  f.require_all();
}

TEST_CASE("appends above the staging limit are refused as overloaded until the disk catches up") {
  auto options = small_log_options();
  options.segment_bytes = 16 * MiB;
  LogFixture f(1, {.log = options});
  f.put_many(1);
  f.storage.disk().hold(Call::synced_write);
  Result<OffsetRange> refused = OffsetRange{};
  for (int i = 0; refused && i < 1000; ++i) {
    const auto batch = make_batch_of_bytes(20'000);
    refused = f.storage.append(batch);
    if (refused) f.known.push_back({*refused, batch});
    f.storage.turn();
  }
  REQUIRE_FALSE(refused);
  REQUIRE(refused.error().code == Errc::overloaded);
  REQUIRE(f.known.size() >= 50);
  f.storage.disk().release(Call::synced_write);
  f.commit();
  f.require_alive();
}

TEST_CASE("a long sequence rolls, is read whole, and survives closes and crashes") {
  LogFixture f(7, {.log = small_log_options(), .latency_reaps = 3});
  Random random(9);
  for (int round = 0; round < 12; ++round) {
    for (int i = 0; i < 30; ++i) {
      f.stage(make_batch(random_events(random)));
      if (random.chance(1, 3)) f.storage.turn();
    }
    f.commit();
    if (round % 3 == 0) f.reopen();
    if (round % 3 == 1) f.crash(CrashPolicy::random());
    f.require_all(round % 2 == 0);
  }
  REQUIRE(f.storage.log().segment_count() > 1);
  REQUIRE(f.storage.log().start_offset() == Offset{0});
}

TEST_CASE("append times never go back although the watch does") {
  LogFixture f;
  f.put_many(3);
  f.storage.clock().set_wall(WallTime{1});
  f.put_many(3);
  f.crash();
  f.put_many(3);
  const auto all = f.read_all(true, 1 * MiB);
  for (std::size_t i = 1; i < all.batches.size(); ++i) {
    REQUIRE(all.batches[i].header.append_time >= all.batches[i - 1].header.append_time);
  }
}

TEST_CASE("segments are sealed by age when the options say so") {
  auto options = small_log_options();
  options.segment_age = seconds(60);
  LogFixture f(1, {.log = options});
  f.put_many(2);
  f.storage.advance(seconds(61));
  f.put_many(2);
  REQUIRE(f.storage.log().segment_count() == 2);
  f.require_all();
}

TEST_CASE("a quiet log seals its segment at its age, and retention takes it") {
  auto options = small_log_options();
  options.segment_age = seconds(100);
  options.retention_age = seconds(50);
  LogFixture f(1, {.log = options});
  f.put_many(3);
  f.storage.advance(seconds(90));
  f.storage.log().apply_retention();
  f.storage.settle();
  REQUIRE(f.storage.log().start_offset() == Offset{0});
  f.storage.advance(seconds(20));
  f.storage.log().apply_retention();  // seals
  f.storage.settle();
  f.require_all(true);
  f.storage.advance(seconds(60));
  f.storage.log().apply_retention();  // removes
  f.storage.settle();
  REQUIRE(f.storage.log().start_offset() == f.storage.log().durable_end());
  f.require_end_alone();
  f.known.clear();
  f.put_many(2);
  f.require_all(true);
  f.crash();
  f.require_all(true);
  f.reopen();
  f.require_all(true);
}
