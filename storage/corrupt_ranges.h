// The offset ranges of one log whose bytes do not verify, in order: what readers are told instead
// of events (G7). A range is kept until the log starts behind it.
//
// Owner: the log, and recovery until the log is open. Thread: the shard's. Pure but for
// diagnostics: new damage is said once. Always: sorted by where they begin.
#pragma once

#include "storage/log.h"
#include "storage/segment.h"
#include "storage/segment_scan.h"

#include <vector>

namespace millrace {

class CorruptRanges {
 public:
  void add(CorruptRange range);
  // What a scan of `segment` met. What is known already, or lies below `start`, is not news.
  void note_damage(const Segment& segment, const std::vector<SegmentScan::Damage>& damage,
                   Offset start);
  void forget_below(Offset start);

  // The range that holds `offset`, or null. The pointer lives until the next change.
  const CorruptRange* at(Offset offset) const;
  // Whether the last range ends at or behind `end`.
  bool reaches(Offset end) const;
  const std::vector<CorruptRange>& list() const { return ranges_; }

 private:
  std::vector<CorruptRange> ranges_;
};

// What a reader of the range is told: Errc::corrupt, and where reading goes on.
Error corrupt_error(const CorruptRange& range);

}  // namespace millrace
