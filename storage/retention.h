// Pure: which segments the rules let go. Only sealed ones, only from the old end, never the active
// one.
#pragma once

#include "storage/base/units.h"
#include "storage/log_options.h"
#include "storage/segment.h"

#include <cstdint>
#include <span>

namespace millrace {

// How many of the oldest `segments` may go. `now` is the wall clock: one that was set back makes
// everything younger, so it keeps data rather than losing it.
std::size_t segments_to_retire(std::span<const SegmentRef> segments, const LogOptions& options,
                               WallTime now);

// Whether ages may be believed. A wall clock that goes on by more than an hour more or less than
// time itself was set, by mistake perhaps: for an hour after that nothing is too old, so that the
// mistake can be noticed. What the clock says when a log is opened is believed.
class AgeClock {
 public:
  static constexpr Duration jump_max = seconds(3600);
  static constexpr Duration pause = seconds(3600);

  // To be called now and then with both clocks.
  bool is_steady(Instant now, WallTime wall);

 private:
  bool is_set_ = false;
  Instant last_now_;
  WallTime last_wall_;
  Instant steady_from_{INT64_MIN};
};

// How many of the oldest lie wholly below `start`.
std::size_t segments_below(std::span<const SegmentRef> segments, Offset start);

}  // namespace millrace
