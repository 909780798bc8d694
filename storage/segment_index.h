// Sparse offset -> position and time -> offset of one segment, in memory. A hint: every place it
// gives is checked against the batch that is found there.
#pragma once

#include "storage/format/batch.h"
#include "storage/format/index_layout.h"

#include <cstdint>
#include <vector>

namespace millrace {

class SegmentIndex {
 public:
  // Notes a batch at `position`; keeps an entry for about one in `interval_bytes`. Batches come in
  // order.
  void note(const BatchHeader& header, Position position, std::uint32_t interval_bytes);
  // The last entry at or before `offset`; the first batch of the segment when there is none.
  IndexEntry floor(Offset offset, const IndexEntry& first) const;
  // The last entry whose batch was appended before `time`; `first` when there is none.
  IndexEntry before(WallTime time, const IndexEntry& first) const;

  const std::vector<IndexEntry>& entries() const { return entries_; }
  void assign(std::vector<IndexEntry> entries) { entries_ = std::move(entries); }
  void clear() { entries_.clear(); }
  bool empty() const { return entries_.empty(); }

 private:
  std::vector<IndexEntry> entries_;
};

}  // namespace millrace
