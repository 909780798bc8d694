#include "storage/log.h"

#include "tests/storage/log_fixture.h"

#include <catch2/catch.hpp>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

TEST_CASE("a new log is empty") {
  LogFixture f;
  REQUIRE(f.storage.log().start_offset() == Offset{0});
  REQUIRE(f.storage.log().durable_end() == Offset{0});
  REQUIRE(f.storage.log().appended_end() == Offset{0});
  REQUIRE(f.storage.log().refusal().empty());
  f.require_all();
  f.reopen();
  REQUIRE(f.storage.log().durable_end() == Offset{0});
}

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

TEST_CASE("a clean close and open scans no batches and reads little") {
  LogFixture f;
  f.put_segments(4);
  f.close();
  const auto reads = f.storage.disk().started(Call::read);
  f.open();
  // A header and an index for each segment, a checkpoint slot or two.
  REQUIRE(f.storage.disk().started(Call::read) - reads <= 2 * 4 + 4);
  f.require_all();
  f.require_alive();
}

TEST_CASE(
    "close makes what was staged durable or leaves it unacked, and refuses appends from then on") {
  LogFixture f;
  f.put_many(3);
  f.stage(make_batch("last"));
  f.close();
  f.open();
  REQUIRE(f.storage.log().durable_end() >= Offset{3});
  f.adopt();
  f.require_all();
  REQUIRE(f.storage.disk().open_files() <= 8);
}

TEST_CASE("a closed log leaves no file open") {
  LogFixture f;
  f.put_segments(3);
  f.require_all(true);
  f.close();
  REQUIRE(f.storage.disk().open_files() == 0);
}

TEST_CASE("retention by size removes the oldest sealed segments and keeps the rest readable") {
  auto options = small_log_options();
  options.retention_bytes = 200 * KiB;
  LogFixture f(1, {.log = options});
  f.put_many(150, 4000);
  f.storage.log().apply_retention();
  REQUIRE(f.storage.run_until([&] { return f.storage.log().start_offset() > Offset{0}; }));
  f.storage.settle();
  REQUIRE(f.storage.log().bytes() <= 264 * KiB);
  REQUIRE(f.storage.files_ending(".segment").size() == f.storage.log().segment_count());
  f.require_all();
  const auto start = f.storage.log().start_offset();
  f.crash();
  REQUIRE(f.storage.log().start_offset() >= start);
  f.require_all();
  f.require_alive();
}

TEST_CASE("retention by age removes what is old and never the active segment") {
  auto options = small_log_options();
  options.retention_age = seconds(100);
  LogFixture f(1, {.log = options});
  f.put_segments(3);
  f.storage.advance(seconds(60));
  f.storage.log().apply_retention();
  f.storage.settle();
  REQUIRE(f.storage.log().start_offset() == Offset{0});
  f.put_segments(5);
  f.storage.advance(seconds(60));
  f.storage.log().apply_retention();
  f.storage.settle();
  const auto start = f.storage.log().start_offset();
  REQUIRE(start > Offset{0});
  REQUIRE(start < f.storage.log().durable_end());
  f.require_all();
  f.storage.advance(seconds(1000));
  f.storage.log().apply_retention();
  f.storage.settle();
  REQUIRE(f.storage.log().segment_count() == 1);
  f.require_alive();
}

TEST_CASE("a clock that jumps far ahead and back removes nothing that a later look would keep") {
  auto options = small_log_options();
  options.retention_age = seconds(100);
  LogFixture f(1, {.log = options});
  f.put_segments(3);
  f.storage.clock().set_wall(WallTime{1});
  f.storage.log().apply_retention();
  f.storage.settle();
  REQUIRE(f.storage.log().start_offset() == Offset{0});
  f.put_many(5);
  f.require_all();
}

TEST_CASE("trim moves the start, also into the middle of a segment, and it stays there") {
  LogFixture f;
  f.put_segments(4);
  const auto end = f.storage.log().durable_end();
  for (const std::uint64_t at :
       {std::uint64_t{3}, end.value / 2, end.value / 2 - 1, end.value - 1}) {
    const auto before = f.storage.log().start_offset();
    REQUIRE(LogFixture::reason(f.storage.trim(Offset{at})) == "");
    REQUIRE(f.storage.log().start_offset() == std::max(before, Offset{at}));
    f.require_all();
    const auto start = f.storage.log().start_offset();
    f.crash();
    REQUIRE(f.storage.log().start_offset() == start);
    f.require_all();
  }
  f.require_alive();
}

TEST_CASE("a trim above the end is clamped, and the log goes on from its end") {
  LogFixture f;
  f.put_segments(3);
  const auto end = f.storage.log().durable_end();
  REQUIRE(LogFixture::reason(f.storage.trim(offset_max)) == "");
  REQUIRE(f.storage.log().start_offset() == end);
  REQUIRE(f.storage.log().durable_end() == end);
  f.require_all();
  f.crash();
  REQUIRE(f.storage.log().start_offset() == end);
  REQUIRE(f.storage.log().durable_end() == end);
  f.require_alive();
}

TEST_CASE("truncate drops a suffix for good, within a segment and across segments") {
  for (const std::uint64_t keep : {0u, 1u, 10u, 20u, 45u}) {
    INFO(keep);
    LogFixture f;
    f.put_many(50, 4000);
    REQUIRE(f.storage.log().segment_count() > 3);
    REQUIRE(LogFixture::reason(f.storage.truncate(Offset{keep})) == "");
    REQUIRE(f.storage.log().durable_end() == Offset{keep});
    REQUIRE(f.storage.log().appended_end() == Offset{keep});
    f.known.resize(keep);
    f.acked_end = Offset{keep};
    f.require_all();
    f.crash(CrashPolicy::random());
    REQUIRE(f.storage.log().durable_end() == Offset{keep});
    f.require_all();
    f.put_many(3);
    f.crash();
    f.require_all();
    REQUIRE(f.storage.log().durable_end() == Offset{keep + 3});
  }
}

TEST_CASE("ST-03 batches that a truncation dropped never come back behind new ones") {
  LogFixture f;
  f.put_many(12, 3000);
  REQUIRE(LogFixture::reason(f.storage.truncate(Offset{4})) == "");
  f.known.resize(4);
  f.acked_end = Offset{4};
  // The same size, so that the old successors lie exactly where the new one's would.
  f.put(make_batch_of_bytes(3000, 'N'));
  f.crash();
  REQUIRE(f.storage.log().durable_end() == Offset{5});
  f.require_all();
}

TEST_CASE("a search by time finds the first batch appended then") {
  LogFixture f;
  std::vector<WallTime> times;
  for (int i = 0; i < 60; ++i) {
    times.push_back(f.storage.clock().wall());
    f.put(make_batch_of_bytes(4000));
    f.storage.advance(seconds(10));
  }
  const auto check = [&] {
    for (std::size_t i = 0; i < times.size(); ++i) {
      INFO(i);
      REQUIRE(*f.storage.find_time(times[i]) == Offset{i});
      REQUIRE(*f.storage.find_time(WallTime{times[i].ns + 1}) == Offset{i + 1});
    }
    REQUIRE(*f.storage.find_time(WallTime{0}) == Offset{0});
    REQUIRE(*f.storage.find_time(WallTime{INT64_MAX}) == f.storage.log().durable_end());
  };
  check();
  f.reopen();
  check();
  f.crash();
  check();
  REQUIRE(LogFixture::reason(f.storage.trim(Offset{30})) == "");
  REQUIRE(*f.storage.find_time(WallTime{0}) == Offset{30});
  REQUIRE(*f.storage.find_time(times[40]) == Offset{40});
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

TEST_CASE("G4 what a producer sent last is known after closes, crashes and checkpoints") {
  LogFixture f;
  std::uint64_t sequence = 0;
  const auto send = [&](int batches) {
    for (int i = 0; i < batches; ++i) {
      TestSession session;
      session.producer_id = 77;
      session.epoch = 2;
      session.sequence = sequence;
      const auto batch = make_batch({{"", std::string(3000, 'p')}, {"", "x"}}, session);
      f.put(batch);
      sequence += 2;
    }
  };
  const auto check = [&] {
    const auto* state = f.storage.log().producers().find(77);
    REQUIRE(state != nullptr);
    REQUIRE(state->epoch == 2);
    REQUIRE(state->next_sequence() == sequence);
    REQUIRE(state->recent.size() >= std::min<std::size_t>(sequence / 2, ProducerState::window));
    REQUIRE(state->recent.size() <= ProducerState::recent_max);
    const auto& last = state->recent.back();
    REQUIRE(last.base_offset == f.known.back().offsets.begin);
    REQUIRE(last.body_checksum == body_checksum(view_of(f.known.back().sent).header()));
  };
  for (int round = 0; round < 8; ++round) {
    send(round % 2 == 0 ? 3 : 20);
    check();
    if (round % 4 == 0) f.reopen();
    if (round % 4 == 1) f.crash();
    if (round % 4 == 2) f.storage.advance(seconds(5));
    if (round % 4 == 3) f.crash(CrashPolicy::all());
    check();
  }
  REQUIRE(f.storage.log().segment_count() > 3);
  // A producer whose batches lie in segments that are gone is still known.
  REQUIRE(LogFixture::reason(f.storage.trim(f.storage.log().durable_end())) == "");
  f.crash();
  check();
}

TEST_CASE("truncation forgets what producers sent behind it") {
  LogFixture f;
  for (std::uint64_t i = 0; i < 6; ++i) {
    TestSession session;
    session.producer_id = 5;
    session.sequence = i;
    f.put(make_batch("p", session));
  }
  REQUIRE(LogFixture::reason(f.storage.truncate(Offset{4})) == "");
  REQUIRE(f.storage.log().producers().find(5)->next_sequence() == 4);
  f.known.resize(4);
  f.acked_end = Offset{4};
  f.crash();
  REQUIRE(f.storage.log().producers().find(5)->next_sequence() == 4);
}

TEST_CASE("retired segments are kept as segments to be, and used again") {
  auto options = small_log_options();
  options.retention_bytes = 130 * KiB;
  LogFixture f(1, {.log = options});
  for (int i = 0; i < 10; ++i) {
    f.put_many(20, 4000);
    f.storage.log().apply_retention();
    f.storage.settle();
  }
  const auto used = f.storage.disk().used_bytes();
  for (int i = 0; i < 20; ++i) {
    f.put_many(20, 4000);
    f.storage.log().apply_retention();
    f.storage.settle();
    f.require_all();
  }
  REQUIRE(f.storage.disk().used_bytes() <= used + 256 * KiB);
  f.crash(CrashPolicy::random());
  f.require_all();
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
  REQUIRE(f.storage.files_ending(".segment").empty());
  f.known.clear();
  f.put_many(2);
  f.require_all(true);
  f.crash();
  f.require_all(true);
  f.reopen();
  f.require_all(true);
}

TEST_CASE("a segment that cannot be opened at the start is left where it is") {
  LogFixture f;
  f.put_segments(3);
  f.close();
  for (std::uint64_t nth = 1; nth <= 6; ++nth) {
    SimDisk::Fault once;
    once.call = Call::open;
    once.error = Errc::overloaded;
    once.nth = nth;
    f.storage.disk().inject(once);
    if (!f.storage.open()) continue;
    f.close();
  }
  f.open();
  REQUIRE(f.storage.log().refusal().empty());
  REQUIRE(f.storage.log().corrupt_ranges().empty());
  f.require_all(true);
}
