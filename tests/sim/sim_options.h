// What one seed of the simulator is made of: which classes of faults it plays and how odd the
// broker's constants are.
//
// Pure: the same seed gives the same options, and a list of classes given from outside replaces the
// drawn one without changing any other draw.
#pragma once

#include "broker/options.h"
#include "broker/shard.h"
#include "storage/base/random.h"

#include <bitset>
#include <optional>
#include <string>
#include <string_view>

namespace millrace::sim {

enum class FaultClass {
  power,        // losses of power, with any policy of what survives
  kill,         // the process dies, the machine does not
  recovery,     // losses of power while a log is recovered
  orderly,      // orderly restarts
  io_errors,    // EIO of reads, writes and calls about names
  sync_error,   // failed syncs and synced writes
  full,         // a full disk, for a while
  no_files,     // a want of descriptors
  slow_disk,    // operations that take long, syncs that do not return for a while
  short_write,  // the system takes a part of a write
  rot,          // bytes at rest change; the seed expects damage to be named
  lying_disk,   // lost and misdirected writes; the seed expects damage to be named
  unreadable,   // sectors that cannot be read, for a while
  foreign,      // files that are not ours lie among ours
  wall_clock,   // somebody sets the watch, seconds to years
  lost_client,  // connections that break, answers that do not arrive, clients that do not read
  hostile,      // old epochs, wrong sequences, requests out of any range
  topics,       // topics come and go while they are used
};
inline constexpr std::size_t fault_classes = 18;
using FaultSet = std::bitset<fault_classes>;

std::string_view fault_class_name(FaultClass fault);
// "power,kill"; "none" is no class, "all" is every one.
std::string fault_set_text(const FaultSet& set);
// Nothing for a name that is no class.
std::optional<FaultSet> parse_fault_set(std::string_view text);

struct SimOptions {
  std::uint64_t seed = 1;
  FaultSet faults;
  std::uint64_t steps = 0;
  BrokerOptions broker;
  Shard::Memory memory;
  std::uint64_t latency_reaps = 0;
  std::uint32_t topics = 1, partitions_max = 1;
  std::uint32_t producers = 1, window_max = 1;
  std::uint32_t readers = 1, subscribers = 1;
  std::uint32_t events_max = 1, payload_bytes_max = 1;

  bool has(FaultClass fault) const { return faults.test(static_cast<std::size_t>(fault)); }
};

SimOptions draw_options(std::uint64_t seed, const std::optional<FaultSet>& faults,
                        std::optional<std::uint64_t> steps);

}  // namespace millrace::sim
