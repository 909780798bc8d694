#include "storage/retention.h"

namespace millrace {

std::size_t segments_to_retire(std::span<const SegmentRef> segments, const LogOptions& options,
                               WallTime now) {
  std::uint64_t total = 0;
  for (const auto& segment : segments) total += segment->end_position.value;
  std::size_t count = 0;
  for (; count < segments.size() && !segments[count]->active; ++count) {
    const Segment& oldest = *segments[count];
    const bool too_large = options.retention_bytes != 0 && total > options.retention_bytes;
    const bool too_old = options.retention_age.ns != 0 && oldest.sealed_at.ns != 0 &&
                         oldest.sealed_at.ns <= now.ns - options.retention_age.ns;
    if (!too_large && !too_old) break;
    total -= oldest.end_position.value;
  }
  return count;
}

bool AgeClock::is_steady(Instant now, WallTime wall) {
  if (is_set_) {
    const std::int64_t jump = (wall.ns - last_wall_.ns) - (now - last_now_).ns;
    if (jump > jump_max.ns || jump < -jump_max.ns) steady_from_ = now + pause;
  }
  is_set_ = true;
  last_now_ = now;
  last_wall_ = wall;
  return now >= steady_from_;
}

std::size_t segments_below(std::span<const SegmentRef> segments, Offset start) {
  std::size_t count = 0;
  while (count < segments.size() && !segments[count]->active &&
         segments[count]->end_offset <= start)
    ++count;
  return count;
}

}  // namespace millrace
