#include "storage/checkpoint_schedule.h"

#include "tests/storage/log_fixture.h"

#include <catch2/catch.hpp>

#include <optional>
#include <vector>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

namespace {

// The newest state that the file holds now.
Checkpoint newest(LogFixture& f) {
  const auto bytes = f.storage.disk().read_file(f.storage.path("checkpoint"));
  std::optional<Checkpoint> best;
  for (const std::size_t at : {std::size_t{0}, checkpoint_layout::slot_bytes}) {
    if (at >= bytes.size()) continue;
    auto slot = decode_checkpoint(ByteView(bytes).subspan(at));
    if (slot && (!best || slot->generation > best->generation)) best = std::move(*slot);
  }
  REQUIRE(best.has_value());
  return *best;
}

// Commits until `bytes` have been written in the one segment.
void put_bytes(LogFixture& f, std::uint64_t bytes) {
  for (const auto begin = f.storage.log().bytes(); f.storage.log().bytes() - begin < bytes;)
    f.put_many(1, 4000);
}

LogOptions one_large_segment() {
  auto options = small_log_options();
  options.segment_bytes = 4 * MiB;
  options.checkpoint_interval_bytes = 64 * KiB;
  return options;
}

}  // namespace

TEST_CASE("G9 a busy log writes a checkpoint after so many bytes, and a quiet one after a while") {
  LogFixture f(1, {.log = one_large_segment()});
  f.put_many(1);
  f.storage.settle();
  const auto made = newest(f);  // with the first segment
  put_bytes(f, 32 * KiB);
  f.storage.settle();
  REQUIRE(newest(f) == made);
  put_bytes(f, 40 * KiB);
  f.storage.settle();
  const auto busy = newest(f);
  REQUIRE(busy.generation == made.generation + 1);
  REQUIRE(busy.durable_end > made.durable_end);
  f.put_many(3);
  f.storage.advance(f.storage.options().log.checkpoint_idle);
  const auto quiet = newest(f);
  REQUIRE(quiet.generation == busy.generation + 1);
  REQUIRE(quiet.durable_end == f.storage.log().durable_end());
  // Nothing new, nothing written.
  for (int i = 0; i < 5; ++i) f.storage.advance(seconds(10));
  REQUIRE(newest(f) == quiet);
}

TEST_CASE("trims that come while a checkpoint is in flight share the next one") {
  LogFixture f(1, {.log = one_large_segment()});
  f.put_many(10);
  f.storage.settle();
  const auto before = newest(f).generation;
  std::vector<Offset> starts;
  f.storage.disk().hold(Call::open);
  for (const std::uint64_t start : {2u, 7u, 5u, 9u}) {
    f.storage.log().trim(Offset{start}, [&](Result<void> done) {
      REQUIRE(done);
      starts.push_back(f.storage.log().start_offset());
    });
  }
  for (int i = 0; i < 10; ++i) f.storage.turn();
  REQUIRE(starts.empty());
  REQUIRE(f.storage.log().start_offset() == Offset{0});
  f.storage.disk().release(Call::open);
  f.storage.settle();
  REQUIRE(starts == std::vector<Offset>{Offset{2}, Offset{9}, Offset{9}, Offset{9}});
  REQUIRE(newest(f).generation == before + 3);  // and once more, for the other slot
  REQUIRE(newest(f).start_offset == Offset{9});
}

TEST_CASE("ST-25 no start is told before the checkpoint that says so is durable") {
  LogFixture f(1, {.log = one_large_segment()});
  f.put_many(10);
  f.storage.settle();
  f.storage.disk().hold(Call::synced_write);
  bool told = false;
  f.storage.log().trim(Offset{5}, [&](Result<void>) { told = true; });
  for (int i = 0; i < 10; ++i) f.storage.turn();
  REQUIRE_FALSE(told);
  REQUIRE(f.storage.log().start_offset() == Offset{0});
  REQUIRE(f.storage.read_disk(Offset{0}, 1));
  f.storage.disk().release(Call::synced_write);
  f.storage.settle();
  REQUIRE(told);
  REQUIRE(f.storage.log().start_offset() == Offset{5});
}

TEST_CASE("who waits for a checkpoint hears of a close") {
  LogFixture f(1, {.log = one_large_segment()});
  f.put_many(10);
  f.storage.settle();
  f.storage.disk().hold(Call::open);
  std::optional<Result<void>> first, second, closed;
  f.storage.log().trim(Offset{2}, [&](Result<void> done) { first = std::move(done); });
  f.storage.log().trim(Offset{4}, [&](Result<void> done) { second = std::move(done); });
  f.storage.start_close([&](Result<void> done) { closed = std::move(done); });
  for (int i = 0; i < 10; ++i) f.storage.turn();
  REQUIRE_FALSE(closed.has_value());
  f.storage.disk().release(Call::open);
  REQUIRE(f.storage.run_until([&] { return closed.has_value(); }));
  REQUIRE(*closed);
  REQUIRE(first.has_value());
  REQUIRE(*first);
  REQUIRE(second.has_value());
  REQUIRE_FALSE(*second);
  REQUIRE(second->error().code == Errc::shutting_down);
  f.close();
  REQUIRE(newest(f).clean);
  f.open();
  REQUIRE(f.storage.log().start_offset() >= Offset{2});
  f.require_all();
}

TEST_CASE("who waits for a checkpoint hears of a truncation, or gets it behind one") {
  for (const std::uint64_t end : {8u, 10u}) {  // one that cuts, and one that has nothing to cut
    INFO("truncation to " << end);
    LogFixture f(1, {.log = one_large_segment()});
    f.put_many(10);
    f.storage.settle();
    f.storage.disk().hold(Call::open);
    std::optional<Result<void>> first, second;
    f.storage.log().trim(Offset{2}, [&](Result<void> done) { first = std::move(done); });
    f.storage.log().trim(Offset{4}, [&](Result<void> done) { second = std::move(done); });
    bool truncated = false;
    f.storage.log().truncate(Offset{end}, [&](Result<void> done) {
      REQUIRE(done);
      truncated = true;
    });
    f.storage.disk().release(Call::open);
    REQUIRE(f.storage.run_until([&] { return truncated; }));
    f.storage.settle();
    REQUIRE(first.has_value());
    REQUIRE(*first);
    REQUIRE(second.has_value());
    REQUIRE(second->has_value() == (end == 10));
    if (end == 10) REQUIRE(f.storage.log().start_offset() == Offset{4});
    REQUIRE(f.storage.log().start_offset() >= Offset{2});
  }
}

TEST_CASE("G4 a checkpoint keeps of a session what is durable and no more") {
  LogFixture f(1, {.log = one_large_segment()});
  TestSession session;
  session.producer_id = 7;
  for (; session.sequence < 3; ++session.sequence) f.put(make_batch("durable", session));
  f.storage.settle();
  // Staged and on its way; the trim's checkpoint goes to another file.
  SimDisk::Fault never;
  never.call = Call::synced_write;
  never.path = ".segment";
  f.storage.disk().inject(never);
  REQUIRE(f.storage.append(make_batch("staged", session)));
  f.storage.log().trim(Offset{1}, [](Result<void>) {});
  f.storage.settle();
  const auto checkpoint = newest(f);
  REQUIRE(checkpoint.start_offset == Offset{1});
  REQUIRE(checkpoint.durable_end == Offset{3});
  REQUIRE(checkpoint.producers.size() == 1);
  REQUIRE(checkpoint.producers[0].producer_id == 7);
  REQUIRE(checkpoint.producers[0].batches.size() == 3);
  REQUIRE(checkpoint.producers[0].batches.back().sequence == 2);
}
