// Pure: which segments the rules let go. Only sealed ones, only from the old end, never the active
// one.
#pragma once

#include "storage/base/units.h"
#include "storage/log_options.h"
#include "storage/segment.h"

#include <cstdint>
#include <span>

namespace millrace {

// How many of the oldest `segments` may go. `now` is the wall clock, but never earlier than the
// last append, so that a clock that was set back keeps data rather than losing it.
std::size_t segments_to_retire(std::span<const SegmentRef> segments, const LogOptions& options,
                               WallTime now);

// How many of the oldest lie wholly below `start`.
std::size_t segments_below(std::span<const SegmentRef> segments, Offset start);

}  // namespace millrace
