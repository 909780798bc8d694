// What a log knows of one of its segments. Shared by the log and by reads in flight: a segment that
// retention has retired stays valid for who holds it, and its file is not recycled while anybody
// does.
//
// Thread: the shard's.
#pragma once

#include "storage/base/ids.h"
#include "storage/format/segment_layout.h"
#include "storage/segment_index.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace millrace {

class IndexLoad;

struct Segment {
  SegmentHeader header;
  std::string path;       // relative to the disk's root
  Offset end_offset;      // sealed: exclusive end; active: the durable end
  Position end_position;  // sealed: file size or better; active: the durable position
  bool active = false;
  bool readable = true;  // false: the header block does not verify
  // Recovery met damage in it while it was the newest: nothing is appended to it, and until a new
  // one is there every recovery reads it from its start.
  bool left_as_it_is = false;
  // When the successor began: no batch of this segment was appended later. Active: unset.
  WallTime sealed_at;
  SegmentIndex index;        // empty until loaded, for sealed ones
  bool index_whole = false;  // every batch is reachable from an entry at or before it

  // The index is being loaded or rebuilt, and who waits for that (segment_index_files.h).
  bool index_loading = false;
  std::vector<IndexLoad*> index_waiters;

  Offset base() const { return header.base_offset; }
};

using SegmentRef = std::shared_ptr<Segment>;

}  // namespace millrace
