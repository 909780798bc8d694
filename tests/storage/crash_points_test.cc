// The power goes at every I/O operation of a workload that appends, rolls, trims, retires, closes,
// recovers and truncates; then, when the environment asks for depth, at every operation of the
// recovery as well. After each crash the log is opened twice and compared with what was promised.
#include "storage/log.h"
#include "tests/storage/log_fixture.h"

#include <catch2/catch.hpp>

#include <cstdlib>
#include <optional>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

namespace {

// What was promised to whom, across crashes.
struct Promises {
  std::vector<KnownBatch> batches;  // appended, oldest first; a suffix may not have survived
  Offset acked_end;                 // on_durable said so
  Offset start;                     // a trim or a look at start_offset() said so
  std::optional<Offset> cut;        // a truncation to here was asked for and not answered
};

// One log that is driven through a crash. Every verb stops quietly when the power is gone.
class Driver {
 public:
  Driver(std::uint64_t seed, SimStorageOptions options) : storage(seed, std::move(options)) {}

  bool lost() { return !storage.disk().has_power(); }

  void open() {
    const auto opened = storage.open();
    if (lost()) return;
    require(opened.has_value(), "open: " + LogFixture::reason(opened));
    look();
  }
  void put(std::size_t bytes, int count = 1) {
    for (int i = 0; i < count && !lost(); ++i) {
      const auto batch =
          make_batch_of_bytes(bytes, static_cast<char>('a' + promises.batches.size() % 26));
      auto range = storage.append(batch);
      for (int turns = 0; !range && range.error().code == Errc::overloaded && turns < 1000;
           ++turns) {
        storage.turn();  // two segments wait for the disk
        range = storage.append(batch);
      }
      if (lost() && !range) return;
      require(range.has_value(), "append");
      promises.batches.push_back({*range, batch});
    }
    if (lost()) return;
    (void)storage.commit();
    note();
  }
  void trim(Offset start) {
    if (lost()) return;
    const auto done = storage.trim(start);
    if (lost()) return;
    require(done.has_value(), "trim: " + LogFixture::reason(done));
    promises.start = std::max(promises.start, start);
    look();
  }
  void truncate(Offset end) {
    if (lost()) return;
    promises.cut = end;
    const auto done = storage.truncate(end);
    if (lost()) return;
    require(done.has_value(), "truncate: " + LogFixture::reason(done));
    promises.cut.reset();
    cut_promises(end);
    note();
  }
  void retire() {
    if (lost()) return;
    storage.log().apply_retention();
    storage.settle();
    if (!lost()) look();
  }
  void wait(Duration time) {
    if (lost()) return;
    storage.advance(time);
    if (!lost()) look();
  }
  void close() {
    if (lost()) return;
    note();
    (void)storage.close();
  }
  void note() {
    if (storage.is_open()) promises.acked_end = std::max(promises.acked_end, storage.told_end());
  }
  // What a consumer is told of the start must hold from then on.
  void look() { promises.start = std::max(promises.start, storage.log().start_offset()); }
  void cut_promises(Offset end) {
    while (!promises.batches.empty() && promises.batches.back().offsets.begin >= end)
      promises.batches.pop_back();
    promises.acked_end = std::min(promises.acked_end, end);
  }

  // The log is open after a crash: does it keep what was promised? What survived beyond that is
  // promised from now on.
  void check() {
    Log& log = storage.log();
    const Offset end = log.durable_end();
    require(log.refusal().empty(), "refusal: " + log.refusal());
    require(log.corrupt_ranges().empty(), "a crash is not corruption");
    require(log.start_offset() >= promises.start, "the start moved back");
    const Offset acked =
        promises.cut ? std::min(promises.acked_end, *promises.cut) : promises.acked_end;
    require(end >= acked, "acked events are gone: end " + std::to_string(end.value) + ", acked " +
                              std::to_string(acked.value));
    cut_promises(end);
    promises.acked_end = end;
    if (promises.cut && end == *promises.cut) promises.cut.reset();
    require(promises.batches.empty() || promises.batches.back().offsets.end == end ||
                (end == log.start_offset()),
            "the end is not the end of a batch");
    const auto contents = storage.read_all(1 * MiB, true);
    require(contents.has_value(),
            "read: " + (contents ? std::string() : contents.error().to_string()));
    require(contents->holes.empty(), "a hole after a crash");
    std::size_t i = 0;
    for (const auto& batch : promises.batches) {
      if (batch.offsets.end <= log.start_offset()) continue;
      require(i < contents->batches.size(), "a batch is missing");
      const auto& stored = contents->batches[i++];
      require(stored.header.range() == batch.offsets, "a batch has other offsets");
      require(std::equal(stored.bytes.begin() + batch_layout::header_bytes, stored.bytes.end(),
                         batch.sent.begin() + batch_layout::header_bytes, batch.sent.end()),
              "a batch has other bytes");
    }
    require(i == contents->batches.size(), "there is a batch that nobody appended");
  }

  void require(bool condition, const std::string& what) {
    if (condition) return;
    FAIL(what << "\n" << context << "\n" << storage.disk().trace());
  }

  SimStorage storage;
  Promises promises;
  std::string context;
};

SimStorageOptions workload_options() {
  auto options = small_log_options();
  options.preallocate_bytes_min = 32 * KiB;
  options.retention_bytes = 160 * KiB;
  options.checkpoint_interval_bytes = 24 * KiB;
  return {.log = options, .pool_bytes = 256 * KiB, .cache_bytes = 128 * KiB};
}

// Append, roll, checkpoint, retention into the pool and out of it again, close, open, trim,
// truncate.
void workload(Driver& d) {
  d.open();
  d.put(700, 2);
  d.put(15'000, 3);
  d.put(30'000, 2);    // rolls
  d.wait(seconds(2));  // checkpoint
  d.put(40'000, 4);    // rolls
  d.retire();
  d.put(20'000, 4);  // rolls into a recycled segment
  d.retire();
  d.close();
  if (d.lost()) return;
  d.open();
  d.put(700);
  if (d.lost()) return;
  const Offset end = d.storage.log().durable_end();
  d.trim(Offset{end.value - 4});
  d.put(9000, 3);
  d.truncate(Offset{end.value + 1});
  d.put(5000, 2);
  d.close();
}

std::vector<CrashPolicy> policies() {
  return {CrashPolicy::none(),    CrashPolicy::all(),     CrashPolicy::random(),
          CrashPolicy::torn(),    CrashPolicy::prefix(1), CrashPolicy::prefix(3),
          CrashPolicy::prefix(20)};
}

std::uint64_t operations_of_workload(std::uint64_t seed) {
  Driver d(seed, workload_options());
  workload(d);
  return d.storage.disk().started();
}

// More of everything: MILLRACE_TEST_SCALE=10.
std::uint64_t scale() {
  const char* text = std::getenv("MILLRACE_TEST_SCALE");
  return text != nullptr ? std::max<std::uint64_t>(1, std::strtoull(text, nullptr, 10)) : 1;
}

// Crashes at operation `at`, and then `depth` times more during recovery, at an operation that the
// seed draws.
void crash_once(std::uint64_t seed, std::uint64_t at, const CrashPolicy& policy, int depth) {
  Driver d(seed, workload_options());
  d.context = "seed " + std::to_string(seed) + " crash at operation " + std::to_string(at) +
              " keep " + policy.to_string() + " depth " + std::to_string(depth);
  d.storage.disk().crash_at(at, policy);
  workload(d);
  if (!d.lost()) return;
  d.note();
  d.storage.crash(policy);
  Random random(seed * 1000 + at);
  for (int level = 0; level < depth; ++level) {
    d.storage.disk().crash_at(1 + random.below(30), level % 2 == 0 ? CrashPolicy::torn() : policy);
    const auto opened = d.storage.open();
    if (!d.lost()) {
      d.storage.disk().no_crash();
      d.require(opened.has_value(), "recovery: " + LogFixture::reason(opened));
      d.check();
      d.storage.disk().crash(policy);
    }
    d.storage.crash(policy);
  }
  for (int round = 0; round < 2; ++round) {
    const auto opened = d.storage.open();
    d.require(opened.has_value(), "recovery: " + LogFixture::reason(opened));
    d.check();
    if (round == 0) d.storage.crash(CrashPolicy::random());
  }
  // It lives: two more batches, a roll, and another crash.
  d.promises.cut.reset();
  d.put(3000, 2);
  d.put(50'000, 2);
  d.require(d.storage.append_error().code == Errc::ok,
            "appends after recovery: " + d.storage.append_error().to_string());
  d.require(d.promises.acked_end == d.storage.log().appended_end(),
            "appends after recovery are acked");
  (void)d.storage.crash_and_reopen(CrashPolicy::none());
  d.check();
}

}  // namespace

TEST_CASE("the workload of the crash tests does all that it should") {
  Driver d(1, workload_options());
  workload(d);
  const auto& disk = d.storage.disk();
  REQUIRE(disk.started(Call::rename) >= 3);
  REQUIRE(disk.started(Call::sync_directory) >= 5);
  REQUIRE(disk.started() > 100);
  d.open();
  d.check();
  REQUIRE(d.promises.start > Offset{0});
  REQUIRE_FALSE(d.promises.batches.empty());
}

TEST_CASE("ST-24 ST-25 a crash at every operation of a log's life keeps every promise") {
  const auto operations = operations_of_workload(1);
  std::size_t crashes = 0;
  for (std::uint64_t at = 1; at <= operations; ++at) {
    for (const auto& policy : policies()) {
      crash_once(1, at, policy, 0);
      ++crashes;
    }
  }
  REQUIRE(crashes == operations * policies().size());
}

TEST_CASE("ST-39 crashes during recovery, three deep, keep every promise") {
  const auto operations = operations_of_workload(2);
  for (std::uint64_t at = 1; at <= operations; at += 2) {
    crash_once(2, at, CrashPolicy::random(), 3);
    crash_once(2, at, CrashPolicy::none(), 2);
  }
}

TEST_CASE("many random subsets survive a crash at each operation") {
  for (std::uint64_t seed = 3; seed < 3 + 2 * scale(); ++seed) {
    const auto operations = operations_of_workload(seed);
    for (std::uint64_t at = 1 + seed % 3; at <= operations; at += 3) {
      crash_once(seed, at, CrashPolicy::random(), 0);
      crash_once(seed, at, CrashPolicy::torn(), 1);
    }
  }
}
