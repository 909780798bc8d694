// Pure: what is missing of a log, by what its files say of each other. Every segment names the one
// before it, and the checkpoint names the newest and both ends of the log, so a file that is not
// there shows.
//
//   | 0 ... 10 | 10 ... 20 |   (20 ... 30)   | 30 ...
//                              missing: the segment at 30 names one at 20
#pragma once

#include "storage/format/checkpoint_layout.h"
#include "storage/log.h"
#include "storage/segment.h"

#include <deque>
#include <optional>
#include <string>
#include <vector>

namespace millrace {

struct ChainFault {
  CorruptRange range;   // its offsets are empty when nothing is known to be lost
  std::string refusal;  // why no offset may be given away until somebody has looked; or empty
};

// Whether the segment that the checkpoint names, and with it the end of the log, must be there.
//
// Not behind a start that is the end of everything: the segments were let go, and of their removal
// a part may not have been carried out. But one that begins at the start or behind it was never let
// go: its file was durable before a checkpoint named it, and it has taken events since, perhaps,
// that no later checkpoint knows of.
bool must_be_there(const Checkpoint& checkpoint);
// What such a segment holds at least.
Offset least_end(const Checkpoint& checkpoint);

// `segments` by base offset, each ending where the next one begins. One that stands before a hole
// is given its end there: the successor's word, until a scan finds where it really ends.
std::vector<ChainFault> check_chain(const std::deque<SegmentRef>& segments,
                                    const std::optional<Checkpoint>& checkpoint,
                                    const std::string& directory);

}  // namespace millrace
