// Changes one partition's log offline, on somebody's explicit word: for a log that takes no appends
// because files of it are missing, or whose beginning or end is to be given up.
//
//   fence   [segment][  missing  ][segment]     an empty segment takes the missing ones' place: the
//                    [   empty   ]              log goes on, nothing that is readable is given up;
//                                               at the end of the log one more stands behind it
//   before  [####### given up ###][segment]     the log starts where a segment begins
//   from    [segment ... |### given up ###]     the log ends where a batch ends
//
// Nothing is deleted: files that leave the log, and a copy of one that is cut inside, go to
// quarantine/. What is given up is said by plan() before apply() does anything; a wrong offset is
// refused with the right ones. Offsets of missing events are not given again, except by `from`,
// which is what it is for.
//
// Owner: a command. Thread: one; blocks. A crash at any step of apply leaves a log on which the
// same repair can be run again.
#pragma once

#include "storage/inspect/partition_files.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace millrace::inspect {

enum class RepairKind { fence, before, from };

struct RepairWish {
  RepairKind kind = RepairKind::fence;
  Offset offset;  // of before and from
};

struct RepairPlan {
  OffsetRange given_up;             // cannot be read any more afterwards; empty for fence
  std::uint64_t events = 0;         // of these, events that can be read now
  std::vector<OffsetRange> fenced;  // missing, and to be fenced
  std::vector<std::string> moved;   // segment files that go to quarantine/, in this order
  std::optional<std::string> cut;   // the one that is copied there and cut
  bool is_empty() const { return fenced.empty() && moved.empty() && !cut && given_up.empty(); }
};

class PartitionRepair {
 public:
  // Looks and changes nothing. Errors: bad_request for an offset that is no place to cut; corrupt
  // where something in the way does not verify; storage_error.
  static Result<PartitionRepair> plan(PartitionFiles files, RepairWish wish);
  const RepairPlan& plan() const { return plan_; }
  // Errors: storage_error.
  Result<void> apply();

 private:
  PartitionRepair(PartitionFiles files, RepairWish wish) : files_(std::move(files)), wish_(wish) {}
  Result<void> plan_fence();
  Result<void> plan_before();
  Result<void> plan_from();
  Result<void> plan_cut_inside(const SegmentOnDisk& segment);
  Result<Offset> end_of(std::size_t segment) const;
  void fence(OffsetRange missing, const SegmentHeader* before, std::uint64_t segment_id);
  void fence_end(OffsetRange missing, const SegmentHeader* before, std::uint64_t segment_id);
  void fence_newest(Offset begin, const SegmentHeader* before);
  Result<void> move_away(const std::string& file) const;
  Result<void> write_fences() const;
  Result<void> write_checkpoint() const;
  std::string quarantine_name(const std::string& file) const;

  PartitionFiles files_;
  RepairWish wish_;
  RepairPlan plan_;
  Position cut_position_;
  std::vector<SegmentHeader> fences_;
};

}  // namespace millrace::inspect
