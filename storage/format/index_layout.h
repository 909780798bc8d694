// The index file of a sealed segment: derived data, rebuilt from the segment whenever it does not
// verify.
//
//   0       8        12       16          24           32          40            48
//   | magic | version| entries| segment_id| base_offset| end_offset| end_position| last_append |
//   56        60    64
//   | last_crc| crc | entry[0] | entry[1] | ...
//   entry: u64 offset, u64 position, i64 append_time
//
// crc covers everything but itself. Entries rise in offset, position and time, and name batch
// starts.
#pragma once

#include "storage/base/bytes.h"
#include "storage/base/ids.h"
#include "storage/base/result.h"
#include "storage/base/units.h"

#include <cstdint>
#include <vector>

namespace millrace {

namespace index_layout {
inline constexpr std::uint64_t magic = 0x31584449'5652494Dull;  // the bytes "MIRVIDX1"
inline constexpr std::uint32_t format_version = 1;
inline constexpr std::size_t header_bytes = 64;
inline constexpr std::size_t entry_bytes = 24;
inline constexpr std::uint32_t entries_limit = 1u << 20;
}  // namespace index_layout

struct IndexEntry {
  Offset offset;         // of the batch's first event
  Position position;     // of the batch's header
  WallTime append_time;  // of the batch
  friend bool operator==(const IndexEntry&, const IndexEntry&) = default;
};

struct IndexFile {
  std::uint64_t segment_id = 0;
  Offset base_offset;
  Offset end_offset;
  Position end_position;
  WallTime last_append_time;
  std::uint32_t last_crc = 0;  // header_crc of the segment's last batch
  std::vector<IndexEntry> entries;
};

std::vector<std::byte> encode_index(const IndexFile& index);

// `bytes` may be longer than the index (padding). Errors: Errc::corrupt, Errc::unsupported.
Result<IndexFile> decode_index(ByteView bytes);

}  // namespace millrace
