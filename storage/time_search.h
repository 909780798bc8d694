// Staged operation: the first offset of one segment that was appended at or after a time, or the
// segment's readable end. Finds a place to begin by the segment's index (loaded or rebuilt when
// needed), then walks batch by batch. What the index says is checked against the batches found; an
// index that led astray costs a walk from the segment's beginning.
//
// Owner: LogReads; whoever asked may be gone, and the answer goes unseen. Thread: the shard's.
// Fails: with what the disk says.
#pragma once

#include "storage/io/disk.h"
#include "storage/segment.h"
#include "storage/segment_index_files.h"
#include "storage/segment_scan.h"
#include "storage/slab.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace millrace {

class TimeSearch {
 public:
  struct Plan {
    SegmentRef segment;
    std::string index_path;
    WallTime time;
    Offset limit;  // readable end of this segment
    std::uint32_t index_interval_bytes = 0;
  };
  // Damage that was met, also when the search itself succeeded.
  using OnDamage = std::function<void(const SegmentRef&, const std::vector<SegmentScan::Damage>&)>;
  using Done = std::function<void(Result<Offset>)>;

  TimeSearch(Disk& disk, SlabPool& slabs, Plan plan, OnDamage on_damage, Done done);
  void start();

 private:
  IndexEntry first() const;
  void walk_from_index();
  void walk(const IndexEntry& place);
  void on_walked(const IndexEntry& place, const std::vector<SegmentScan::Damage>& damage);

  Disk& disk_;
  SlabPool& slabs_;
  const Plan plan_;
  OnDamage on_damage_;
  Done done_;
  std::unique_ptr<IndexLoad> load_;
  std::unique_ptr<SegmentScan> scan_;
  Offset found_;
};

}  // namespace millrace
