#include "storage/segment_index.h"

#include <algorithm>

namespace millrace {

void SegmentIndex::note(const BatchHeader& header, Position position,
                        std::uint32_t interval_bytes) {
  if (!entries_.empty() && position.value < entries_.back().position.value + interval_bytes) return;
  if (entries_.size() >= index_layout::entries_limit) return;
  entries_.push_back({header.base_offset, position, header.append_time});
}

IndexEntry SegmentIndex::floor(Offset offset, const IndexEntry& first) const {
  const auto after = std::upper_bound(entries_.begin(), entries_.end(), offset,
                                      [](Offset o, const IndexEntry& e) { return o < e.offset; });
  return after == entries_.begin() ? first : *std::prev(after);
}

IndexEntry SegmentIndex::before(WallTime time, const IndexEntry& first) const {
  const auto after = std::partition_point(
      entries_.begin(), entries_.end(), [&](const IndexEntry& e) { return e.append_time < time; });
  return after == entries_.begin() ? first : *std::prev(after);
}

}  // namespace millrace
