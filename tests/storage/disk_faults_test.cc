#include "storage/log.h"
#include "tests/storage/log_fixture.h"

#include <catch2/catch.hpp>

#include <optional>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

namespace {

SimDisk::Fault fault(Call call, Errc error, bool for_ever = false, std::uint64_t nth = 1,
                     std::string path = {}) {
  return {.call = call, .error = error, .nth = nth, .for_ever = for_ever, .path = std::move(path)};
}

// Appends until one is refused or not acked; what is acked is noted. Answers why it ended.
Error put_until_refused(LogFixture& f, std::size_t batch_bytes = 3000, int tries = 400) {
  for (int i = 0; i < tries; ++i) {
    const auto batch =
        make_batch_of_bytes(batch_bytes, static_cast<char>('a' + f.known.size() % 26));
    const auto range = f.storage.append(batch);
    if (!range) return range.error();
    f.known.push_back({*range, batch});
    const auto committed = f.storage.commit();
    f.note_acked();
    if (!committed) return committed.error();
  }
  return Error{};
}

// Of what was appended and not acked, none may have an offset any more.
void forget_unacked(LogFixture& f) {
  while (!f.known.empty() && f.known.back().offsets.end > f.acked_end) f.known.pop_back();
}

// After storage_full the log takes appends again without a restart.
void require_resumes(LogFixture& f) {
  bool taken = false;
  for (int i = 0; i < 200 && !taken; ++i) {
    f.storage.advance(seconds(1));
    const auto batch = make_batch_of_bytes(3000, 'R');
    const auto range = f.storage.append(batch);
    if (!range) {
      REQUIRE((range.error().code == Errc::storage_full || range.error().code == Errc::overloaded));
      continue;
    }
    REQUIRE(range->begin == f.acked_end);
    const auto committed = f.storage.commit();
    if (committed) {
      f.known.push_back({*range, batch});
      taken = true;
    }
  }
  REQUIRE(taken);
  f.note_acked();
  f.require_alive();
  f.crash();
  f.require_all(true);
}

}  // namespace

TEST_CASE(
    "ST-12 a full disk refuses appends, acks nothing, and takes them again when there is space") {
  for (const std::uint64_t spare : {0u, 4096u, 40'960u, 200'000u, 700'000u}) {
    INFO("spare " << spare);
    LogFixture f;
    f.put_many(5, 3000);
    f.storage.settle();
    f.storage.disk().set_capacity(f.storage.disk().used_bytes() + spare);
    const auto why = put_until_refused(f);
    INFO(why.to_string());
    REQUIRE(why.code == Errc::storage_full);
    REQUIRE(f.storage.log().durable_end() == f.acked_end);
    forget_unacked(f);
    f.require_all(true);
    const auto again = put_until_refused(f, 3000, 3);
    if (again.code != Errc::ok) REQUIRE(again.code == Errc::storage_full);
    forget_unacked(f);
    f.storage.disk().set_capacity(std::uint64_t{1} << 30);
    require_resumes(f);
  }
}

TEST_CASE("ST-12 a crash while the disk is full loses nothing that was acked, and the log opens") {
  for (const std::uint64_t spare : {0u, 40'960u}) {
    LogFixture f;
    f.put_many(5, 3000);
    f.storage.disk().set_capacity(f.storage.disk().used_bytes() + spare);
    REQUIRE(put_until_refused(f).code == Errc::storage_full);
    f.crash(CrashPolicy::random());
    f.require_all(true);
    f.storage.disk().set_capacity(std::uint64_t{1} << 30);
    require_resumes(f);
  }
}

TEST_CASE("ST-12 trimming a full log makes room by itself") {
  LogFixture f(1, {.log = small_log_options(), .pool_bytes = 0});
  f.put_segments(4);
  f.storage.settle();
  f.storage.disk().set_capacity(f.storage.disk().used_bytes());
  REQUIRE(put_until_refused(f).code == Errc::storage_full);
  forget_unacked(f);
  REQUIRE(LogFixture::reason(f.storage.trim(f.acked_end)) == "");
  f.storage.settle();
  f.storage.disk().set_capacity(f.storage.disk().used_bytes() + 512 * KiB);
  require_resumes(f);
}

TEST_CASE("ST-12 no space for a preallocation, a write or a new segment is the same refusal") {
  for (const Call call : {Call::preallocate, Call::synced_write, Call::open}) {
    for (const bool for_ever : {false, true}) {
      INFO(call_name(call) << (for_ever ? " for ever" : " once"));
      LogFixture f;
      f.put_many(3, 3000);
      const auto hit = f.storage.disk().faults_hit();
      f.storage.disk().inject(fault(call, Errc::storage_full, for_ever));
      const auto why = put_until_refused(f);
      REQUIRE(f.storage.disk().faults_hit() > hit);
      if (for_ever && call == Call::synced_write) REQUIRE(why.code == Errc::storage_full);
      if (why.code != Errc::ok) REQUIRE(why.code == Errc::storage_full);
      REQUIRE(f.storage.log().durable_end() == f.acked_end);
      forget_unacked(f);
      f.require_all(true);
      f.storage.disk().lift_faults();
      require_resumes(f);
    }
  }
}

TEST_CASE(
    "ST-12 ST-15 a cut after a full disk that fails at any step ends the log, and a restart "
    "heals") {
  for (const Call call : {Call::set_length, Call::sync_data}) {
    for (const Errc error : {Errc::storage_error, Errc::storage_full}) {
      INFO(call_name(call) << " " << errc_name(error));
      LogFixture f;
      f.put_many(3, 3000);
      f.storage.settle();
      f.storage.disk().inject(fault(Call::synced_write, Errc::storage_full));
      f.storage.disk().inject(fault(call, error));
      const auto batch = make_batch_of_bytes(3000, 'F');
      REQUIRE(f.storage.append(batch));
      const auto committed = f.storage.commit();
      REQUIRE_FALSE(committed);
      REQUIRE(committed.error().code == Errc::storage_error);
      f.storage.settle();
      f.storage.advance(seconds(10));
      REQUIRE_FALSE(f.storage.log().refusal().empty());
      REQUIRE(f.storage.append(batch).error().code == Errc::storage_error);
      REQUIRE(f.storage.log().durable_end() == f.acked_end);
      f.require_all(true);
      // What was half written was not cut for sure: it may be there once.
      f.known.push_back({{f.acked_end, f.acked_end + 1}, batch});
      f.crash(CrashPolicy::random());
      f.require_all(true);
      f.require_alive();
    }
  }
}

TEST_CASE(
    "ST-12 G5 what a full disk refused is not there after a loss of power, whenever that comes") {
  for (const auto& policy : {CrashPolicy::none(), CrashPolicy::all(), CrashPolicy::torn()}) {
    for (std::uint64_t operation = 1; operation <= 8; ++operation) {
      INFO("power lost at operation " << operation << " keep " << policy.to_string());
      LogFixture f;
      f.put_many(3, 3000);
      f.storage.settle();
      f.storage.disk().inject(fault(Call::synced_write, Errc::storage_full));
      f.storage.disk().crash_at(operation, policy);
      const auto refused = make_batch_of_bytes(3000, 'F');
      REQUIRE(f.storage.append(refused));
      (void)f.storage.commit();
      const bool told_full = f.storage.append_error().code == Errc::storage_full;
      f.storage.disk().no_crash();
      // Before anybody was told it may be there; afterwards never.
      if (!told_full) f.known.push_back({{f.acked_end, f.acked_end + 1}, refused});
      f.crash(policy);
      f.require_all(true);
      f.require_alive();
    }
  }
}

TEST_CASE("ST-12 a log is closed while a full disk's half written batch is being cut off") {
  for (const Call call : {Call::preallocate, Call::set_length, Call::sync_data}) {
    INFO("while " << call_name(call) << " is in flight");
    auto options = small_log_options();
    options.preallocate_bytes_min = 4 * KiB;
    options.preallocate_bytes_max = 4 * KiB;
    LogFixture f(1, {.log = options});
    f.put_many(3, 3000);
    f.storage.settle();
    f.storage.disk().hold(call);
    f.storage.disk().inject(fault(Call::synced_write, Errc::storage_full));
    REQUIRE(f.storage.append(make_batch_of_bytes(3000, 'F')));
    for (int i = 0; i < 10; ++i) f.storage.turn();
    std::optional<Result<void>> closed;
    f.storage.start_close([&](Result<void> result) { closed = std::move(result); });
    for (int i = 0; i < 10; ++i) f.storage.turn();
    REQUIRE_FALSE(closed.has_value());
    f.storage.disk().release(call);
    REQUIRE(f.storage.run_until([&] { return closed.has_value(); }));
    REQUIRE(*closed);
    f.close();
    REQUIRE(f.storage.disk().open_files() == 0);
    f.open();
    f.require_all(true);
    f.require_alive();
  }
}

TEST_CASE("ST-14 a failed write is told as storage_error, appends end, reads go on") {
  LogFixture f;
  f.put_many(20, 3000);
  f.storage.settle();
  f.storage.disk().inject(fault(Call::synced_write, Errc::storage_error));
  const auto batch = make_batch_of_bytes(3000, 'F');
  REQUIRE(f.storage.append(batch));
  const auto committed = f.storage.commit();
  REQUIRE_FALSE(committed);
  REQUIRE(committed.error().code == Errc::storage_error);
  REQUIRE(f.storage.append_error().code == Errc::storage_error);
  // The disk is well again; the log does not believe it.
  for (int i = 0; i < 5; ++i) {
    f.storage.advance(seconds(10));
    const auto refused = f.storage.append(batch);
    REQUIRE_FALSE(refused);
    REQUIRE(refused.error().code == Errc::storage_error);
  }
  REQUIRE_FALSE(f.storage.log().refusal().empty());
  REQUIRE(f.storage.log().durable_end() == f.acked_end);
  f.require_all();
  f.require_all(true);
  // A restart is what ends it. The failed batch may be there once, never twice.
  f.known.push_back({{f.acked_end, f.acked_end + 1}, batch});
  f.crash(CrashPolicy::random());
  f.require_all(true);
  f.require_alive();
}

TEST_CASE("ST-14 batches that waited behind a failed write are not acked either") {
  LogFixture f;
  f.put_many(2);
  f.storage.disk().hold(Call::synced_write);
  f.storage.disk().inject(fault(Call::synced_write, Errc::storage_error));
  REQUIRE(f.storage.append(make_batch("in flight")));
  f.storage.turn();
  REQUIRE(f.storage.append(make_batch("behind")));
  f.storage.turn();
  f.storage.disk().release(Call::synced_write);
  REQUIRE_FALSE(f.storage.commit());
  for (int i = 0; i < 10; ++i) f.storage.turn();
  REQUIRE(f.storage.told_end() == Offset{2});
  REQUIRE(f.storage.log().durable_end() == Offset{2});
  f.require_all();
}

TEST_CASE(
    "ST-15 after a failed write or sync nothing is ever acked, whatever the disk says later") {
  for (const Call call : {Call::synced_write, Call::sync_data}) {
    INFO(call_name(call));
    LogFixture f;
    f.put_many(3);
    f.storage.settle();
    // The sync of a log that is open is the one behind the cut of what a full disk took half.
    if (call == Call::sync_data)
      f.storage.disk().inject(fault(Call::synced_write, Errc::storage_full));
    f.storage.disk().inject(fault(call, Errc::storage_error));
    const auto hit = f.storage.disk().faults_hit();
    REQUIRE_FALSE(f.storage.append_and_commit(make_batch_of_bytes(3000)));
    f.storage.settle();
    REQUIRE(f.storage.disk().faults_hit() == hit + (call == Call::sync_data ? 2 : 1));
    REQUIRE(f.storage.append_error().code == Errc::storage_error);
    const auto end = f.storage.log().durable_end();
    REQUIRE(end == Offset{3});
    for (int i = 0; i < 20; ++i) {
      REQUIRE_FALSE(f.storage.append(make_batch("late")));
      f.storage.advance(seconds(1));
    }
    REQUIRE(f.storage.log().durable_end() == end);
    REQUIRE(LogFixture::reason(f.storage.close()) != "timed_out");
    f.open();
    REQUIRE(f.storage.log().durable_end() >= end);
  }
}

TEST_CASE("ST-18 what was acked is whole below a length that is durable, however writes are cut") {
  for (const std::uint64_t preallocate : {4 * KiB, 64 * KiB}) {
    auto options = small_log_options();
    options.preallocate_bytes_min = options.preallocate_bytes_max = preallocate;
    LogFixture f(1, {.log = options});
    f.storage.disk().set_short_writes(2);
    f.storage.disk().set_latency_reaps(3);
    for (int i = 0; i < 60; ++i) {
      f.put_many(1, 1000 + static_cast<std::size_t>(i) * 200);
      // At the moment of the ack, before anything that is still under way ends.
      const std::string path = f.storage.segment_path(f.storage.log().segment_count() - 1);
      const auto* durable = f.storage.disk().durable_file(path);
      const auto* live = f.storage.disk().live_file(path);
      REQUIRE(durable != nullptr);
      std::uint64_t acked = f.storage.log().bytes();
      for (std::size_t s = 0; s + 1 < f.storage.log().segment_count(); ++s)
        acked -= align_up(f.storage.disk().live_file(f.storage.segment_path(s))->size(), 4096);
      INFO(path << " acked up to " << acked << "\n" << f.storage.disk().trace());
      REQUIRE(durable->size() >= acked);
      REQUIRE(std::equal(durable->begin(), durable->begin() + static_cast<std::ptrdiff_t>(acked),
                         live->begin()));
    }
    REQUIRE(f.storage.disk().short_writes() > 20);
    f.crash(CrashPolicy::none());
    f.require_all(true);
  }
}

TEST_CASE("ST-21 no descriptor for a new segment is survived and nothing is lost") {
  for (std::uint64_t nth = 1; nth <= 3; ++nth) {
    LogFixture f;
    f.put_many(5, 3000);
    f.storage.disk().inject(fault(Call::open, Errc::overloaded, false, nth));
    const auto why = put_until_refused(f, 3000, 60);
    INFO("open " << nth << ": " << why.to_string());
    if (why.code != Errc::ok) REQUIRE(why.code == Errc::overloaded);
    REQUIRE(f.storage.log().durable_end() == f.acked_end);
    forget_unacked(f);
    f.require_all(true);
    require_resumes(f);
    f.crash();
    f.require_alive();
  }
}

TEST_CASE(
    "every call of each kind that fails once loses no acked event, acks no lost one, and a restart "
    "heals") {
  const Call calls[] = {Call::open,           Call::close,        Call::read,
                        Call::write,          Call::synced_write, Call::sync_data,
                        Call::set_length,     Call::preallocate,  Call::file_size,
                        Call::make_directory, Call::remove,       Call::rename,
                        Call::sync_directory, Call::list};
  std::size_t episodes = 0;
  for (const Call call : calls) {
    for (const Errc error : {Errc::storage_error, Errc::storage_full}) {
      for (std::uint64_t nth = 1; nth <= 12; ++nth) {
        INFO(call_name(call) << " " << errc_name(error) << " call " << nth);
        auto options = small_log_options();
        options.retention_bytes = 200 * KiB;
        LogFixture f(nth, {.log = options});
        f.put_many(3, 3000);
        f.storage.disk().inject(fault(call, error, false, nth));
        (void)put_until_refused(f, 5000, 60);
        forget_unacked(f);
        if (f.storage.append_error().code == Errc::ok)
          (void)f.storage.trim(Offset{f.acked_end.value / 2});
        f.storage.settle();
        (void)f.storage.read_all(1 * MiB, true);
        (void)f.storage.close();
        auto opened = f.storage.open();
        if (!opened) {
          REQUIRE((opened.error().code == Errc::storage_error ||
                   opened.error().code == Errc::storage_full));
          opened = f.storage.open();
        }
        f.storage.disk().lift_faults();
        INFO(f.storage.disk().trace());
        REQUIRE(LogFixture::reason(opened) == "");
        // A segment that could not be read at that start is fenced and said to be; the next start
        // finds it whole.
        if (!f.storage.log().corrupt_ranges().empty()) f.reopen();
        const Offset end = f.storage.log().durable_end();
        REQUIRE(end >= f.acked_end);
        // A batch that was not acked may be there: its bytes are known by its fill alone, so they
        // are taken as they are.
        const auto contents = f.storage.read_all(1 * MiB, true);
        REQUIRE(contents);
        REQUIRE(contents->holes.empty());
        for (const auto& batch : contents->batches) {
          if (batch.header.end_offset() > f.acked_end) continue;
          const auto known = std::find_if(f.known.begin(), f.known.end(), [&](const KnownBatch& k) {
            return k.offsets.begin == batch.header.base_offset;
          });
          REQUIRE(known != f.known.end());
          LogFixture::require_same(batch, *known);
        }
        REQUIRE(f.storage.log().refusal().empty());
        REQUIRE(f.storage.append_and_commit(make_batch("alive")));
        ++episodes;
      }
    }
  }
  REQUIRE(episodes == 14 * 2 * 12);
}

TEST_CASE("a disk that answers slowly and out of order changes nothing") {
  LogFixture f(3, {.log = small_log_options(), .latency_reaps = 7});
  Random random(6);
  for (int i = 0; i < 150; ++i) {
    f.stage(make_batch(random_events(random)));
    f.storage.turn();
    if (random.chance(1, 10)) f.commit();
  }
  f.commit();
  f.require_all();
  f.reopen();
  f.require_all(true);
}

TEST_CASE("ST-20 a write that does not return holds back its acks and nothing else") {
  LogFixture f;
  f.put_segments(3);
  f.storage.disk().hold(Call::synced_write);
  const auto stuck = make_batch("stuck");
  f.stage(stuck);
  for (int i = 0; i < 10; ++i) f.storage.turn();
  f.storage.clock().advance(seconds(600));
  for (int i = 0; i < 10; ++i) f.storage.turn();
  REQUIRE(f.storage.told_end() == f.known[f.known.size() - 2].offsets.end);
  REQUIRE(f.storage.read_disk(Offset{0}, 1));
  f.storage.disk().release(Call::synced_write);
  f.commit();
  f.require_all();
}
