// Staged operation: removes the suffix [end, ...) of a log durably, on files that nobody writes.
// Newest first, so that a crash leaves a shorter log and never a hole; the caller has made durable
// (by a checkpoint) that the log ends at `end`.
//
// Owner: Log, which recovers the directory afterwards as after a crash. The answer is its last act,
// and may destroy it.
#pragma once

#include "storage/io/disk.h"
#include "storage/segment.h"
#include "storage/segment_removal.h"
#include "storage/segment_scan.h"
#include "storage/slab.h"
#include "storage/tail_cut.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace millrace {

class Truncation {
 public:
  using Done = std::function<void(Result<void>)>;

  // `segments` by base offset. Errors: bad_request when `end` lies inside a batch.
  Truncation(Disk& disk, SlabPool& slabs, SegmentPool& pool, std::string directory,
             std::vector<SegmentRef> segments, Offset end, Done done);
  void start();

 private:
  void remove_index();
  void remove_later();
  void open();
  void cut(FileId file);
  void step(IoResult io);

  enum class Stage { idle, remove_index, open, close } stage_ = Stage::idle;
  Disk& disk_;
  SlabPool& slabs_;
  SegmentPool& pool_;
  const std::string directory_;
  std::vector<SegmentRef> segments_;
  const Offset end_;
  Done done_;
  Completion io_;
  TailCut tail_cut_;
  SegmentRef last_;
  Position cut_;
  std::unique_ptr<SegmentScan> scan_;
  std::unique_ptr<SegmentRemoval> removal_;
  Result<void> outcome_;
};

}  // namespace millrace
