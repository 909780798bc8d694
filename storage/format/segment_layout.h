// The header block of a segment file: the first 4,096 bytes, written once before the first batch.
// docs/storage-format.md is the same table in words. Batches begin at first_batch_position.
#pragma once

#include "storage/base/bytes.h"
#include "storage/base/ids.h"
#include "storage/base/result.h"
#include "storage/base/units.h"

#include <cstdint>
#include <string>

namespace millrace {

namespace segment_layout {
inline constexpr std::uint64_t magic = 0x31474553'5652494Dull;  // bytes "MIRVSEG1"
inline constexpr std::uint32_t format_version = 1;
inline constexpr std::size_t header_bytes = 4096;
inline constexpr std::size_t magic_at = 0;                  // u64
inline constexpr std::size_t version_at = 8;                // u32
inline constexpr std::size_t partition_at = 12;             // u32
inline constexpr std::size_t cluster_id_at = 16;            // 16 bytes
inline constexpr std::size_t topic_id_at = 32;              // 16 bytes
inline constexpr std::size_t base_offset_at = 48;           // u64
inline constexpr std::size_t segment_id_at = 56;            // u64, random, never 0
inline constexpr std::size_t created_at = 64;               // i64 ns
inline constexpr std::size_t previous_segment_id_at = 72;   // u64, 0: first of its log
inline constexpr std::size_t previous_base_offset_at = 80;  // u64
inline constexpr std::size_t previous_crc_at = 88;      // u32, header_crc of the last batch before
inline constexpr std::size_t topic_name_bytes_at = 92;  // u32
inline constexpr std::size_t topic_name_at = 96;        // up to 200 bytes
inline constexpr std::size_t topic_name_limit = 200;
inline constexpr std::size_t batch_bytes_max_at = 296;  // u32, 0: not told
inline constexpr std::size_t crc_at = 4092;             // u32 over [0, 4092)
inline constexpr Position first_batch_position{header_bytes};
inline constexpr std::uint64_t segment_bytes_limit = 4 * GiB;
}  // namespace segment_layout

// Says whose bytes a file holds, so that a renamed, copied or recycled file is never taken for
// another.
struct SegmentHeader {
  ClusterId cluster_id;
  TopicId topic_id;
  PartitionIndex partition = 0;
  Offset base_offset;
  std::uint64_t segment_id = 0;
  WallTime created;
  std::uint64_t previous_segment_id = 0;
  Offset previous_base_offset;
  std::uint32_t previous_crc = 0;
  std::string topic_name;
  // No batch of the segment is longer, header and body; 0: not told. A search behind damage need
  // not look further than that.
  std::uint32_t batch_bytes_max = 0;

  friend bool operator==(const SegmentHeader&, const SegmentHeader&) = default;
};

// Fills `block` (exactly header_bytes).
void encode_segment_header(const SegmentHeader& header, MutableBytes block);

// Errors: Errc::corrupt for a wrong magic, checksum or length; Errc::unsupported for a newer
// version.
Result<SegmentHeader> decode_segment_header(ByteView block);

}  // namespace millrace
