#include "tests/sim/sim_options.h"

#include "storage/base/units.h"

#include <algorithm>

namespace millrace::sim {
namespace {

constexpr std::string_view names[fault_classes] = {
    "power",      "kill",     "recovery",   "orderly",     "io_errors", "sync_error",
    "full",       "no_files", "slow_disk",  "short_write", "rot",       "lying_disk",
    "unreadable", "foreign",  "wall_clock", "lost_client", "hostile",   "topics"};

// Each class or not; those that every seed is the better for are likelier than those that blur what
// a failure means.
FaultSet draw_faults(Random& random) {
  FaultSet set;
  for (std::size_t i = 0; i < fault_classes; ++i) set.set(i, random.chance(1, 2));
  const auto rarely = [&](FaultClass fault, std::uint64_t denominator) {
    const auto i = static_cast<std::size_t>(fault);
    set.set(i, set.test(i) && random.chance(1, denominator));
  };
  rarely(FaultClass::rot, 2);
  rarely(FaultClass::lying_disk, 3);
  rarely(FaultClass::unreadable, 2);
  rarely(FaultClass::foreign, 2);
  return set;
}

template <std::size_t N>
std::uint64_t one_of(Random& random, const std::uint64_t (&values)[N]) {
  return values[random.below(N)];
}

LogOptions draw_log(Random& random) {
  LogOptions log;
  log.segment_bytes = one_of(random, {8 * KiB, 12 * KiB, 16 * KiB, 24 * KiB, 64 * KiB});
  log.segment_age = random.chance(1, 4) ? seconds(30) : seconds(0);
  log.retention_age = random.chance(1, 5) ? seconds(60) : seconds(0);
  log.retention_bytes = random.chance(1, 3) ? one_of(random, {32 * KiB, 64 * KiB, 128 * KiB}) : 0;
  log.batch_bytes_max = 8 * KiB;
  log.index_interval_bytes = static_cast<std::uint32_t>(1 + random.below(12'000));
  log.preallocate_bytes_min = 4 * KiB << random.below(3);
  log.preallocate_bytes_max = 16 * KiB;
  log.staged_bytes_max = one_of(random, {4 * KiB, 32 * KiB, 1 * MiB});
  log.tail_cache_bytes = one_of(random, {std::uint64_t{0}, 8 * KiB, 64 * KiB});
  log.checkpoint_interval_bytes = one_of(random, {4 * KiB, 16 * KiB, 64 * KiB});
  log.checkpoint_idle = one_of(random, {1, 1000}) == 1 ? milliseconds(50) : seconds(1);
  return log;
}

BrokerLimits draw_limits(Random& random) {
  BrokerLimits limits;
  if (random.chance(1, 3)) limits.client_bytes_max = 8 * KiB;
  if (random.chance(1, 4)) limits.reply_bytes_max = 16 * KiB;
  if (random.chance(1, 4)) limits.staged_bytes_max = 8 * KiB;
  if (random.chance(1, 4)) limits.fetch_bytes_max = 4 * KiB;
  if (random.chance(1, 6)) limits.subscriptions_per_client_max = 1;
  if (random.chance(1, 6)) limits.parked_fetches_per_client_max = 1;
  return limits;
}

}  // namespace

std::string_view fault_class_name(FaultClass fault) {
  return names[static_cast<std::size_t>(fault)];
}

std::string fault_set_text(const FaultSet& set) {
  if (set.none()) return "none";
  std::string text;
  for (std::size_t i = 0; i < fault_classes; ++i) {
    if (!set.test(i)) continue;
    if (!text.empty()) text += ',';
    text += names[i];
  }
  return text;
}

std::optional<FaultSet> parse_fault_set(std::string_view text) {
  FaultSet set;
  if (text == "none") return set;
  if (text == "all") return set.set();
  for (;;) {
    const auto comma = text.find(',');
    const auto found = std::find(std::begin(names), std::end(names), text.substr(0, comma));
    if (found == std::end(names)) return std::nullopt;
    set.set(static_cast<std::size_t>(found - std::begin(names)));
    if (comma == std::string_view::npos) return set;
    text.remove_prefix(comma + 1);
  }
}

SimOptions draw_options(std::uint64_t seed, const std::optional<FaultSet>& faults,
                        std::optional<std::uint64_t> steps) {
  SimOptions options;
  options.seed = seed;
  Random random(seed * 0x9E3779B97F4A7C15ull + 1);
  options.faults = draw_faults(random);
  if (faults) options.faults = *faults;
  options.steps = 250 + random.below(300);
  if (steps) options.steps = *steps;
  options.broker.topic_defaults = draw_log(random);
  options.broker.limits = draw_limits(random);
  options.broker.live_by_default = random.chance(3, 4);
  options.broker.retention_interval = random.chance(1, 2) ? seconds(1) : seconds(20);
  options.broker.disk_refuse_percent = random.chance(1, 2) ? 95 : 100;
  options.memory.segment_pool_bytes = one_of(random, {std::uint64_t{0}, 32 * KiB, 256 * KiB});
  options.memory.cache_bytes = one_of(random, {16 * KiB, 64 * KiB, 1 * MiB});
  options.latency_reaps = one_of(random, {0, 1, 3, 8});
  options.topics = static_cast<std::uint32_t>(1 + random.below(3));
  options.partitions_max =
      static_cast<std::uint32_t>(random.chance(1, 6) ? 6 : 1 + random.below(2));
  options.producers = static_cast<std::uint32_t>(1 + random.below(4));
  options.window_max = static_cast<std::uint32_t>(one_of(random, {1, 2, 4, 8}));
  options.readers = static_cast<std::uint32_t>(1 + random.below(2));
  options.subscribers = static_cast<std::uint32_t>(1 + random.below(2));
  options.events_max = static_cast<std::uint32_t>(one_of(random, {1, 1, 4, 12}));
  options.payload_bytes_max = static_cast<std::uint32_t>(one_of(random, {10, 200, 1500}));
  return options;
}

}  // namespace millrace::sim
