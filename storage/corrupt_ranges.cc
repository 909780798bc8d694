#include "storage/corrupt_ranges.h"

#include "storage/base/diag.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

namespace millrace {

void CorruptRanges::add(CorruptRange range) {
  const auto place = std::upper_bound(
      ranges_.begin(), ranges_.end(), range,
      [](const auto& a, const auto& b) { return a.offsets.begin < b.offsets.begin; });
  ranges_.insert(place, std::move(range));
}

void CorruptRanges::note_damage(const Segment& segment,
                                const std::vector<SegmentScan::Damage>& damage, Offset start) {
  for (const auto& d : damage) {
    // What of it was not known, piece by piece: ranges never overlap.
    for (Offset from = d.offsets.begin; from < d.offsets.end;) {
      if (const CorruptRange* known = at(from)) {
        from = known->offsets.end;
        continue;
      }
      OffsetRange piece{from, d.offsets.end};
      for (const CorruptRange& known : ranges_)
        if (known.offsets.begin > from) piece.end = std::min(piece.end, known.offsets.begin);
      from = piece.end;
      if (piece.end <= start) continue;
      diag::error("log", "{} at position {}: offsets [{}, {}) do not verify; fenced", segment.path,
                  d.position.value, piece.begin.value, piece.end.value);
      add({piece, segment.path, d.position, "batches do not verify"});
    }
  }
}

void CorruptRanges::forget_below(Offset start) {
  std::erase_if(ranges_, [&](const CorruptRange& range) { return range.offsets.end <= start; });
}

const CorruptRange* CorruptRanges::at(Offset offset) const {
  for (const CorruptRange& range : ranges_)
    if (offset >= range.offsets.begin && offset < range.offsets.end) return &range;
  return nullptr;
}

bool CorruptRanges::reaches(Offset end) const {
  return !ranges_.empty() && ranges_.back().offsets.end >= end;
}

Error corrupt_error(const CorruptRange& range) {
  Error error{
      Errc::corrupt,
      fmt::format("offsets [{}, {}) cannot be read: {} ({} at position {}); reading goes on at {}",
                  range.offsets.begin.value, range.offsets.end.value, range.reason, range.file,
                  range.position.value, range.offsets.end.value)};
  error.range_begin = range.offsets.begin.value;
  error.range_end = range.offsets.end.value;
  return error;
}

}  // namespace millrace
