// Field places and sizes of a batch header. docs/storage-format.md is the same table in words.
//
//   0        4  5  6  8       12       16       20       24               32
//   | magic  |v |c |fl|body_b |raw_b   |events  |epoch   | base_offset    |
//   32               40               48               56               64
//   | append_time    | max_event_time | producer_id    | sequence        |
//   64       68       72               80       84      88       92       96
//   |prod_ep |position| segment_id     |prev_crc|durable |body_crc|head_crc|
//
// All little-endian. The body follows the header at once; the next batch begins at the next
// multiple of 8. A commit ends at a multiple of commit_alignment; what lies between is zero.
#pragma once

#include "storage/base/units.h"

#include <cstddef>
#include <cstdint>

namespace millrace::batch_layout {

inline constexpr std::uint32_t magic = 0x3142524D;  // "MRB1"
inline constexpr std::uint8_t format_version = 1;

inline constexpr std::size_t magic_at = 0;            // u32
inline constexpr std::size_t version_at = 4;          // u8
inline constexpr std::size_t codec_at = 5;            // u8, Codec
inline constexpr std::size_t flags_at = 6;            // u16, reserved bits are zero
inline constexpr std::size_t body_bytes_at = 8;       // u32, as stored
inline constexpr std::size_t raw_bytes_at = 12;       // u32, after decompression
inline constexpr std::size_t event_count_at = 16;     // u32, at least 1
inline constexpr std::size_t leader_epoch_at = 20;    // u32, stamped by the broker
inline constexpr std::size_t base_offset_at = 24;     // u64, stamped by the broker
inline constexpr std::size_t append_time_at = 32;     // i64 ns, stamped by the broker
inline constexpr std::size_t max_event_time_at = 40;  // i64 ns
inline constexpr std::size_t producer_id_at = 48;     // u64, 0: no session
inline constexpr std::size_t sequence_at = 56;        // u64, of the first event
inline constexpr std::size_t producer_epoch_at = 64;  // u32
inline constexpr std::size_t position_at = 68;        // u32, of this header in its segment
inline constexpr std::size_t segment_id_at = 72;      // u64, identity of the segment's incarnation
inline constexpr std::size_t previous_crc_at = 80;    // u32, header_crc of the batch before
inline constexpr std::size_t durable_position_at =
    84;                                           // u32, all before it was durable at submission
inline constexpr std::size_t body_crc_at = 88;    // u32
inline constexpr std::size_t header_crc_at = 92;  // u32, over bytes [0, 92)
inline constexpr std::size_t header_bytes = 96;
static_assert(header_crc_at + 4 == header_bytes);
static_assert(header_bytes % 8 == 0, "bodies start on an 8-byte boundary");

// Where a batch may begin.
inline constexpr std::size_t batch_alignment = 8;
// Where a commit begins and ends: the unit of O_DIRECT and of the device's own sectors, so that no
// acked byte is ever rewritten.
inline constexpr std::size_t commit_alignment = 4096;

inline constexpr std::uint32_t body_bytes_limit = 64 * MiB;
// A commit holds no more, unless it is one batch that is longer.
inline constexpr std::uint64_t commit_bytes_max = 8 * MiB;
inline constexpr std::uint32_t event_count_limit = 1u << 22;
// A body may not claim to grow by more than this when it is decompressed.
inline constexpr std::uint32_t compression_ratio_limit = 1024;

}  // namespace millrace::batch_layout
