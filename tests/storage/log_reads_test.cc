#include "storage/log_reads.h"

#include "tests/storage/log_fixture.h"

#include <catch2/catch.hpp>

#include <memory>
#include <vector>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

TEST_CASE("G6 nothing is readable before it is durable") {
  LogFixture f;
  f.put_many(1);
  f.storage.disk().hold(Call::synced_write);
  f.stage(make_batch("in flight"));
  for (int i = 0; i < 5; ++i) f.storage.turn();
  bool must_read = true;
  const auto tail = f.storage.log().read_cached(Offset{1}, 1 * MiB, must_read);
  REQUIRE(tail);
  REQUIRE(tail->buffers.empty());
  REQUIRE(tail->next_offset == Offset{1});
  REQUIRE_FALSE(must_read);
  const auto all = f.storage.read_all();
  REQUIRE(all);
  REQUIRE(all->batches.size() == 1);
  f.storage.disk().release(Call::synced_write);
  f.commit();
  f.require_all();
}

TEST_CASE("every offset can be read, from memory and from disk, in pieces of any size") {
  LogFixture f;
  Random random(5);
  for (int i = 0; i < 120; ++i)
    f.put(make_batch(random_events(random, {.events_max = 5, .payload_bytes_max = 900})));
  REQUIRE(f.storage.log().segment_count() > 3);
  for (const std::size_t bytes_max : {std::size_t{1}, std::size_t{5000}, std::size_t{1} << 20}) {
    f.require_all(false, bytes_max);
    f.require_all(true, bytes_max);
  }
  for (std::uint64_t at = 0; at < f.storage.log().durable_end().value; ++at) {
    for (const bool from_disk : {false, true}) {
      const auto piece =
          from_disk ? f.storage.read_disk(Offset{at}, 1) : f.storage.read(Offset{at}, 1);
      INFO("offset " << at << (from_disk ? " from disk" : ""));
      REQUIRE(piece);
      REQUIRE_FALSE(piece->buffers.empty());
      BatchCursor cursor(piece->buffers.front().bytes());
      const auto batch = cursor.next();
      REQUIRE(batch);
      REQUIRE(batch->header().base_offset <= Offset{at});
      REQUIRE(batch->header().end_offset() > Offset{at});
      REQUIRE(piece->next_offset > Offset{at});
    }
  }
}

TEST_CASE("reads outside of what is there are refused with what is there") {
  LogFixture f;
  f.put_segments(3);
  REQUIRE(LogFixture::reason(f.storage.trim(Offset{5})) == "");
  const auto end = f.storage.log().durable_end();
  for (const Offset at : {Offset{0}, Offset{4}, end + 1, offset_max}) {
    INFO(at.value);
    bool must_read = false;
    const auto cached = f.storage.log().read_cached(at, 100, must_read);
    REQUIRE_FALSE(cached);
    REQUIRE(cached.error().code == Errc::offset_out_of_range);
    REQUIRE(cached.error().range_begin == 5);
    REQUIRE(cached.error().range_end == end.value);
    REQUIRE(f.storage.read_disk(at).error().code == Errc::offset_out_of_range);
  }
  const auto tail = f.storage.read(end);
  REQUIRE(tail);
  REQUIRE(tail->buffers.empty());
}

TEST_CASE("an old segment may be read while retention takes it away") {
  auto options = small_log_options();
  LogFixture f(1, {.log = options});
  f.put_segments(5);
  bool answered = false;
  f.storage.disk().hold(Call::read);
  const auto reading = f.storage.log().read(Offset{0}, 1 * MiB, [&](Result<ReadResult> result) {
    answered = true;
    if (!result) {
      REQUIRE(result.error().code == Errc::offset_out_of_range);
      return;
    }
    std::size_t i = 0;
    for (const auto& buffer : result->buffers) {
      BatchCursor cursor(buffer.bytes());
      for (auto batch = cursor.next(); batch; batch = cursor.next()) {
        LogFixture::require_same({batch->header(), {batch->bytes().begin(), batch->bytes().end()}},
                                 f.known[i++]);
      }
    }
    REQUIRE(i > 0);
  });
  for (int i = 0; i < 5; ++i) f.storage.turn();
  bool trimmed = false;
  f.storage.log().trim(f.storage.log().durable_end(), [&](Result<void>) { trimmed = true; });
  for (int i = 0; i < 50; ++i) f.storage.turn();
  f.storage.disk().release(Call::read);
  REQUIRE(f.storage.run_until([&] { return answered && trimmed; }));
  f.require_alive();
}

TEST_CASE("a read that nobody waits for any more finishes unseen") {
  auto options = small_log_options();
  options.tail_cache_bytes = 0;
  LogFixture f(1, {.log = options, .cache_bytes = 0});
  f.put_segments(3);
  f.storage.disk().hold(Call::read);
  auto reading = f.storage.log().read(Offset{0}, 1 * MiB,
                                      [&](Result<ReadResult>) { FAIL("it was given up"); });
  for (int i = 0; i < 5; ++i) f.storage.turn();
  reading.reset();
  f.storage.disk().release(Call::read);
  f.storage.settle();
  f.require_alive();
}

TEST_CASE("a close waits for the reads and searches in flight, and answers none of them") {
  auto options = small_log_options();
  options.tail_cache_bytes = 0;
  LogFixture f(1, {.log = options, .cache_bytes = 0});
  f.put_segments(3);
  f.reopen();
  f.storage.settle();
  f.storage.disk().hold(Call::read);
  bool answered = false, closed = false;
  const auto read =
      f.storage.log().read(Offset{0}, 1, [&](Result<ReadResult>) { answered = true; });
  const auto search =
      f.storage.log().find_time(WallTime{0}, [&](Result<Offset>) { answered = true; });
  const auto empty = f.storage.log().read(f.storage.log().durable_end(), 1,
                                          [&](Result<ReadResult>) { answered = true; });
  f.storage.start_close([&](Result<void>) { closed = true; });
  const auto late = f.storage.log().read(Offset{0}, 1, [&](Result<ReadResult> result) {
    REQUIRE(result.error().code == Errc::shutting_down);
  });
  for (int i = 0; i < 60; ++i) f.storage.turn();
  REQUIRE_FALSE(closed);
  f.storage.disk().release(Call::read);
  REQUIRE(f.storage.run_until([&] { return closed; }));
  REQUIRE_FALSE(answered);
  f.close();
  REQUIRE(f.storage.disk().open_files() == 0);
}

TEST_CASE("G9 however many cold readers come after a restart, a segment is scanned once") {
  for (const bool sealed : {false, true}) {
    INFO((sealed ? "sealed, without an index file" : "active"));
    auto options = small_log_options();
    options.segment_bytes = sealed ? 256 * KiB : 4 * MiB;
    LogFixture f(1, {.log = options});
    if (sealed) {
      f.put_segments(2);
      f.close();
      f.storage.disk().remove_file(f.storage.path("00000000000000000000.index"));
      f.open();
    } else {
      f.put_many(300, 4000);
      f.reopen();
    }
    const std::uint64_t segment_bytes =
        f.storage.disk().live_file(f.storage.segment_path(0))->size();
    constexpr std::uint64_t readers = 64;
    const auto before = f.storage.disk().bytes_read();
    std::vector<std::unique_ptr<LogRead>> reads;
    std::uint64_t answered = 0;
    for (std::uint64_t i = 0; i < readers; ++i)
      reads.push_back(f.storage.log().verify(Offset{i % 40}, 4 * KiB, [&](const auto& result) {
        REQUIRE(result);
        REQUIRE_FALSE(result->buffers.empty());
        ++answered;
      }));
    REQUIRE(f.storage.run_until([&] { return answered == readers; }));
    // A window for each, and one scan.
    constexpr std::uint64_t window = 132 * KiB;
    REQUIRE(f.storage.disk().bytes_read() - before <= segment_bytes + MiB + readers * window);
  }
}

TEST_CASE("ST-17 when the scan that cold readers wait for fails, each of them is told") {
  LogFixture f;
  f.put_many(10, 4000);
  f.reopen();
  f.storage.disk().inject({Call::read, Errc::storage_error, 1, false, ".segment"});
  std::size_t failed = 0;
  std::vector<std::unique_ptr<LogRead>> reads;
  for (std::uint64_t i = 0; i < 5; ++i)
    reads.push_back(f.storage.log().verify(Offset{i}, 4 * KiB, [&](const auto& result) {
      REQUIRE_FALSE(result);
      REQUIRE(result.error().code == Errc::storage_error);
      ++failed;
    }));
  REQUIRE(f.storage.run_until([&] { return failed == 5; }));
  f.require_all(true);
}
