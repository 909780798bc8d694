// Pure: what lies at a place of a segment. Used by recovery, by reads, by index rebuilding and by
// offline tools.
//
// A window is a piece of a segment's bytes that begins at a known position.
#pragma once

#include "storage/base/bytes.h"
#include "storage/base/ids.h"
#include "storage/format/batch.h"
#include "storage/format/segment_layout.h"

#include <cstdint>
#include <optional>

namespace millrace {

struct ScanWindow {
  ByteView bytes;
  Position at;  // of bytes[0]
  Position end() const { return at + bytes.size(); }
};

// What the next batch must be to count as the next batch.
struct ScanExpectation {
  std::uint64_t segment_id = 0;
  Offset next_offset;
  // header_crc of the batch before; unset after a damaged range or at an index entry.
  std::optional<std::uint32_t> previous_crc;
};

struct ScanStep {
  enum class Kind {
    batch,      // `header` at `position`, verified; go on at `next`
    need_more,  // the window ends too early: `needed` bytes from `position` are wanted
    no_batch,   // nothing that continues the segment: its end, or damage
  } kind;
  BatchHeader header;
  Position position;
  Position next;
  std::size_t needed = 0;
};

// Looks for the next batch at `from` (a multiple of 8), skipping zero words up to the next commit
// boundary. `file_end`: where the file ends; a window that reaches it is never too short.
ScanStep scan_batch(const ScanWindow& window, Position from, Position file_end,
                    const ScanExpectation& expect);

// The first batch header at or behind `from` that is whole, verified and in its place, with an
// offset of at least `offset_min`. What it says was so when it was written, whatever became of its
// body since: that is not looked at. Without a segment's id: of any.
struct FoundBatch {
  BatchHeader header;
  Position position;
};
std::optional<FoundBatch> find_batch(const ScanWindow& window, Position from,
                                     std::optional<std::uint64_t> segment_id, Offset offset_min);

// Whether what should have followed at `bad` was durable once. `behind` was submitted when
// everything below its durable_position was. If that is the end of the block of `bad`, only padding
// may lie between, and the first commits of the torn tail are no proof:
//
//   | ..., last batch that counts | zeros | commit that arrived in part
//                                 bad     durable_position
//
// `next_offset`: of the batch that should be at `bad`; `gap_is_dirty`: the rest of its block is not
// zero.
bool proves_damage(const FoundBatch& behind, Position bad, Offset next_offset, bool gap_is_dirty);

// How far behind a bad place of a segment a later batch is looked for, where nobody vouches for
// one.
struct SearchReach {
  std::uint64_t bytes;  // its longest commit, with what padding may lie before and behind

  static SearchReach of(const SegmentHeader& header);
  // A commit that was lost leaves what the file held before: zeros, or another segment's bytes.
  Position end(Position bad) const;
  // A batch was found: what is behind it may be damaged as well.
  Position end_behind(const FoundBatch& found) const;
};

bool all_zero(ByteView bytes);

}  // namespace millrace
