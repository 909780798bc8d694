// What can be set per log. Checked once, then const.
#pragma once

#include "storage/base/units.h"
#include "storage/format/batch_layout.h"

#include <cstdint>
#include <string>

namespace millrace {

struct LogOptions {
  // A segment is sealed when the next batch would pass this size. 64 KiB .. 4 GiB minus one block.
  std::uint64_t segment_bytes = 256 * MiB;
  // ... or when its first batch is older than this; 0: never.
  Duration segment_age = seconds(7 * 86'400);
  // Sealed segments older than this (by the append time of their last batch) are removed; 0: kept.
  Duration retention_age = seconds(7 * 86'400);
  // Oldest sealed segments are removed while the log is larger; 0: no limit.
  std::uint64_t retention_bytes = 0;
  // Largest body plus header that is accepted. 1 KiB .. 64 MiB.
  std::uint32_t batch_bytes_max = 1 * MiB;
  // One sparse index entry for about this many bytes.
  std::uint32_t index_interval_bytes = 64 * KiB;
  // First preallocation step of a segment; each next one doubles, up to the largest.
  std::uint64_t preallocate_bytes_min = 1 * MiB;
  std::uint64_t preallocate_bytes_max = 64 * MiB;
  // Appends that wait for the disk; above this, append answers overloaded.
  std::uint64_t staged_bytes_max = 64 * MiB;
  // Newest bytes of this log that stay in memory for readers, as long as the shard's cache budget
  // lasts.
  std::uint64_t tail_cache_bytes = 64 * MiB;
  // A checkpoint is written after this many bytes or after this pause.
  std::uint64_t checkpoint_interval_bytes = 16 * MiB;
  Duration checkpoint_idle = seconds(1);
};

}  // namespace millrace
