// The checkpoint file of a log: two slots, written in turn, each a whole state with a generation
// and a checksum. The newest valid slot counts; without one the log is recovered by scanning all of
// its segments.
//
//   slot 0 at 0, slot 1 at slot_bytes; a slot is padded to 4,096 bytes.
//   0       8        12      16          20    24           32                48          52
//   | magic | version| crc   | body_bytes| 0   | generation | topic_id (16 B) | partition | flags
//   56            64           72                80          88            96           104
//   | start_offset| durable_end| segment_base    | segment_id| scan_position| last_append|
//   104       108          112
//   | last_crc| producers  | producer ...
//   producer: u64 id, u32 epoch, u32 batches, then per batch: u64 sequence, u32 events, u32 body
//   sum, u64 offset, i64 time
//
// crc covers [16, body_bytes) of the slot.
#pragma once

#include "storage/base/bytes.h"
#include "storage/base/ids.h"
#include "storage/base/result.h"
#include "storage/base/units.h"

#include <cstdint>
#include <vector>

namespace millrace {

namespace checkpoint_layout {
inline constexpr std::uint64_t magic = 0x3150434B'5652494Dull;  // the bytes "MIRVKCP1"
inline constexpr std::uint32_t format_version = 1;
inline constexpr std::size_t header_bytes = 112;
inline constexpr std::size_t slot_bytes = 512 * KiB;
inline constexpr std::uint32_t producers_limit = 256;
inline constexpr std::uint32_t batches_limit = 32;
inline constexpr std::uint32_t flag_clean = 1;  // the log was closed; nothing was in flight
// The longest state of so many producer sessions.
constexpr std::size_t state_bytes_max(std::size_t producers) {
  return header_bytes + producers * (16 + std::size_t{batches_limit} * 32);
}
static_assert(state_bytes_max(producers_limit) <= slot_bytes);
}  // namespace checkpoint_layout

struct CheckpointProducer {
  struct Batch {
    std::uint64_t sequence = 0;
    std::uint32_t event_count = 0;
    std::uint32_t body_checksum = 0;
    Offset base_offset;
    WallTime append_time;
    friend bool operator==(const Batch&, const Batch&) = default;
  };
  std::uint64_t producer_id = 0;
  std::uint32_t epoch = 0;
  std::vector<Batch> batches;  // oldest first
  friend bool operator==(const CheckpointProducer&, const CheckpointProducer&) = default;
};

struct Checkpoint {
  std::uint64_t generation = 0;
  TopicId topic_id;
  PartitionIndex partition = 0;
  bool clean = false;
  Offset start_offset;
  // Everything below was durable when this was written, and ended at scan_position of the named
  // segment: a scan may begin there. segment_id 0: no segment yet.
  Offset durable_end;
  Offset segment_base;
  std::uint64_t segment_id = 0;
  Position scan_position;
  WallTime last_append_time;
  std::uint32_t last_crc = 0;  // header_crc of the batch before scan_position
  std::vector<CheckpointProducer> producers;
  friend bool operator==(const Checkpoint&, const Checkpoint&) = default;
};

// Padded to 4,096 bytes, at most slot_bytes.
std::vector<std::byte> encode_checkpoint(const Checkpoint& checkpoint);

// Errors: Errc::corrupt, Errc::unsupported.
Result<Checkpoint> decode_checkpoint(ByteView slot);

}  // namespace millrace
