// Walks one segment file batch by batch with plain reads, and tells the end, a torn tail and damage
// apart by the rules of recovery (storage/segment_scan.h, whose staged twin this is): a batch
// behind a bad place whose durable_position lies behind that place proves that the place was
// durable.
//
// Owner: a check of a partition, or a dump. Thread: one; blocks.
#pragma once

#include "storage/base/ids.h"
#include "storage/base/result.h"
#include "storage/format/batch.h"
#include "storage/format/checkpoint_layout.h"
#include "storage/format/segment_layout.h"
#include "storage/inspect/file_reader.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace millrace::inspect {

struct WalkPlan {
  SegmentHeader header;
  // Where the next segment begins: all below it must be here. Unset: this is the active segment.
  std::optional<Offset> end_offset;
  // Active: all below it was durable once, as a checkpoint says.
  Offset durable_end = Offset{0};
};

struct WalkDamage {
  Position position;
  OffsetRange offsets;
  std::string reason;
};

struct WalkResult {
  Position end_position;  // behind the last batch
  Offset end_offset;
  std::optional<std::uint32_t> last_crc;  // header_crc of the last batch; unset behind damage
  WallTime last_append_time;
  std::uint64_t batches = 0, events = 0;
  std::vector<WalkDamage> damage;
  bool tail_is_torn = false;  // something behind the end that does not continue the segment
};

// Where the segment in the file `path` ends, if the one behind it lies beside it: then it has all
// its batches, and what does not verify in it is damage.
std::optional<Offset> end_by_successor(const std::string& path, const SegmentHeader& header);

// The id of the segment that begins at `base`, where the checkpoint names it.
std::optional<std::uint64_t> id_named_for(const std::optional<Checkpoint>& checkpoint, Offset base);

// How far the offsets of the newest segment went, whose own header does not verify: what the
// checkpoint vouches for, the end of the furthest batch header in it that verifies, and one offset
// at the least. Where the checkpoint does not name its id, that of the first batch header from
// offset `base` on is taken (a file that was used before has those of an older segment behind its
// own). Errors: storage_error for a failed read.
Result<Offset> end_of_unreadable(const FileReader& file, Offset base,
                                 const std::optional<Checkpoint>& checkpoint);

class SegmentWalk {
 public:
  // Of every verified batch; its bytes live for the call.
  using Visitor = std::function<void(const BatchView&, Position)>;
  // Bytes of this file that were read so far.
  using Progress = std::function<void(std::uint64_t)>;

  SegmentWalk(const FileReader& file, WalkPlan plan, Visitor visit, Progress progress = {});
  // Errors: storage_error for a failed read.
  Result<WalkResult> run();

 private:
  Result<void> load(Position from, std::size_t bytes_min);
  ByteView window_bytes() const { return {window_.data(), window_size_}; }
  Position window_end() const { return window_at_ + window_size_; }
  void take_batch(const BatchHeader& header, Position at);
  Result<void> hold(Position from, std::size_t bytes_min);
  ByteView bytes_from(Position at) const;
  void note_damage(OffsetRange lost, std::string reason);
  // Whether reading goes on behind a bad place.
  Result<bool> go_on_behind();
  bool claims_segment(Position at) const;
  std::string reason_at(Position at) const;

  const FileReader& file_;
  WalkPlan plan_;
  Visitor visit_;
  Progress progress_;
  std::vector<std::byte> window_;
  std::size_t window_size_ = 0;
  Position window_at_;
  Position at_;
  Offset next_offset_;
  std::optional<std::uint32_t> previous_crc_;
  Position file_end_;
  Position durable_to_;  // so far reached what was durable when a batch that was seen was written
  WalkResult result_;
};

}  // namespace millrace::inspect
