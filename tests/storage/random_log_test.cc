// A log driven at random against its naive twin: appends of all sizes, commits, crashes with any
// survivors, closes, trims, truncations, retention, slow disks. The seed is printed first;
// MILLRACE_TEST_SEED repeats one run, MILLRACE_TEST_SCALE makes more of them.
#include "storage/log.h"
#include "tests/storage/log_fixture.h"

#include <catch2/catch.hpp>

#include <cstdio>
#include <cstdlib>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

namespace {

std::uint64_t number_from(const char* name, std::uint64_t fallback) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : fallback;
}

SimStorageOptions random_options(Random& random) {
  auto options = small_log_options();
  options.preallocate_bytes_min = std::uint64_t{4096} << random.below(4);
  options.preallocate_bytes_max = 64 * KiB;
  options.index_interval_bytes = static_cast<std::uint32_t>(1 + random.below(20'000));
  options.checkpoint_interval_bytes = 4096 * (1 + random.below(30));
  options.tail_cache_bytes = random.chance(1, 3) ? 0 : 64 * KiB;
  if (random.chance(1, 3)) options.retention_bytes = 128 * KiB + random.below(256 * KiB);
  if (random.chance(1, 4)) options.segment_age = seconds(30);
  if (random.chance(1, 4)) options.retention_age = seconds(60);
  return {.log = options,
          .pool_bytes = random.chance(1, 3) ? 0 : 256 * KiB,
          .cache_bytes = random.chance(1, 3) ? 64 * KiB : 1 * MiB,
          .latency_reaps = random.below(4)};
}

CrashPolicy random_policy(Random& random) {
  switch (random.below(6)) {
    case 0: return CrashPolicy::none();
    case 1: return CrashPolicy::all();
    case 2: return CrashPolicy::prefix(random.below(40));
    case 3: return CrashPolicy::torn();
    case 4: return CrashPolicy::kill();
    default: return CrashPolicy::random();
  }
}

void run(std::uint64_t seed) {
  Random random(seed);
  LogFixture f(seed, random_options(random));
  Offset start{0};
  std::uint64_t sequence = 0;
  for (int step = 0; step < 120; ++step) {
    INFO("seed " << seed << " step " << step);
    switch (random.below(16)) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4: {  // staged, perhaps a few turns
        TestSession session;
        if (random.chance(1, 2)) {
          session.producer_id = 9;
          session.sequence = sequence;
        }
        const auto events = random_events(random, {.events_max = 6, .payload_bytes_max = 3000});
        if (session.producer_id != 0) sequence += events.size();
        f.stage(make_batch(events, session));
        for (std::uint64_t n = random.below(4); n > 0; --n) f.storage.turn();
        f.note_acked();
        break;
      }
      case 5:
      case 6: f.commit(); break;
      case 7: f.put(make_batch_of_bytes(1000 + random.below(100'000), 'B')); break;
      case 8:
      case 9: {
        f.note_acked();
        f.crash(random_policy(random));
        break;
      }
      case 10: {
        f.storage.disk().crash_at(1 + random.below(12), random_policy(random));
        for (int i = 0; i < 6 && f.storage.disk().has_power(); ++i) {
          const auto batch = make_batch(random_events(random));
          const auto range = f.storage.append(batch);
          if (!range) break;
          f.known.push_back({*range, batch});
          (void)f.storage.commit();
          f.note_acked();
        }
        if (f.storage.disk().has_power()) f.storage.disk().no_crash();
        f.crash(random_policy(random));
        break;
      }
      case 11:
        f.commit();
        f.reopen();
        break;
      case 12: {
        const auto end = f.storage.log().durable_end();
        const auto now = f.storage.log().start_offset();
        if (end > now && random.chance(1, 2)) {
          REQUIRE(LogFixture::reason(f.storage.trim(now + random.below(end - now + 1))) == "");
        } else {
          f.storage.log().apply_retention();
        }
        break;
      }
      case 13: {
        f.commit();
        if (f.known.empty() || random.chance(1, 2)) break;
        const auto& batch =
            f.known[f.known.size() - 1 - random.below(std::min<std::size_t>(f.known.size(), 6))];
        const Offset end = batch.offsets.begin;
        f.storage.settle();  // retention may be under way
        if (end < f.storage.log().start_offset()) break;
        REQUIRE(LogFixture::reason(f.storage.truncate(end)) == "");
        while (!f.known.empty() && f.known.back().offsets.begin >= end) f.known.pop_back();
        f.acked_end = end;
        // The producer's sequence goes back with it.
        const auto* state = f.storage.log().producers().find(9);
        sequence = state != nullptr ? state->next_sequence() : sequence;
        break;
      }
      case 14: f.storage.advance(seconds(static_cast<std::int64_t>(random.below(40)))); break;
      case 15: f.require_all(random.chance(1, 2), 1 + random.below(100'000)); break;
    }
    f.note_acked();
    REQUIRE(f.storage.log().start_offset() >= start);
    start = f.storage.log().start_offset();
    REQUIRE(f.storage.log().durable_end() >= f.acked_end);
    INFO(f.storage.disk().trace());
    REQUIRE(f.storage.log().corrupt_ranges().empty());
    REQUIRE(f.storage.log().refusal().empty());
  }
  f.commit();
  f.require_all();
  f.require_all(true);
}

}  // namespace

TEST_CASE("G1 G2 G3 G6 a log driven at random is what its naive twin is") {
  const auto scale = std::max<std::uint64_t>(1, number_from("MILLRACE_TEST_SCALE", 1));
  const auto one = number_from("MILLRACE_TEST_SEED", 0);
  const std::uint64_t first = one != 0 ? one : 1, count = one != 0 ? 1 : 60 * scale;
  std::printf("seeds %llu..%llu\n", static_cast<unsigned long long>(first),
              static_cast<unsigned long long>(first + count - 1));
  for (std::uint64_t seed = first; seed < first + count; ++seed) run(seed);
}

// What they found: names left by a killed process, an overloaded append, a cache that kept a
// truncated end, a retention that went beyond the end of a truncation.
TEST_CASE("seeds that once broke a promise keep it") {
  for (const std::uint64_t seed : {2u, 8u, 11u, 43u, 323u}) run(seed);
}
