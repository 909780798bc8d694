// What a log is in memory: its segments, its watermarks, its sessions, and what is wrong with it.
// Recovery makes it; from then on the log's tail moves the ends, the log moves the start, and reads
// and checkpoints look.
//
// Owner: Log; its parts hold a reference, the same one as long as the log lives. Thread: the
// shard's. Always: start_offset <= durable_end <= appended_end; every end is exclusive; segments
// are in order, and only the last two may be active: one that is finishing, and its successor.
#pragma once

#include "storage/base/ids.h"
#include "storage/base/result.h"
#include "storage/base/units.h"
#include "storage/corrupt_ranges.h"
#include "storage/producer_state.h"
#include "storage/segment.h"

#include <algorithm>
#include <cstdint>
#include <deque>
#include <string>

namespace millrace {

struct LogState {
  std::deque<SegmentRef> segments;  // by base offset
  Offset start_offset, durable_end, appended_end;
  WallTime last_append_time;
  std::uint32_t last_crc = 0;  // of the last durable batch, while no segment is active
  ProducerStates producers;
  CorruptRanges corrupt;
  // Empty: the log may be appended to. Else why not, and how that is told.
  std::string refusal;
  Errc refusal_code = Errc::read_only;

  // What begins now is stamped with. Times never go back along the log, although the watch may: no
  // batch is older than one before it, nor than its segment, which searches by time go by.
  WallTime stamp_time(WallTime wall) const {
    const WallTime last = std::max(wall, last_append_time);
    return segments.empty() ? last : std::max(last, segments.back()->header.created);
  }
};

}  // namespace millrace
