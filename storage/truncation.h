// Staged operation: removes the suffix [end, ...) of a log durably, on files that nobody writes or
// reads.
//
//   find the place of the cut → lower the checkpoint → remove the segments behind it, newest first
//                             → cut the segment that holds it
//
// So a wrong `end` changes nothing, and a crash leaves a shorter log and never a hole.
//
// Owner: Log, which recovers the directory afterwards as after a crash, whatever the answer is. The
// answer is its last act, and may destroy it. Thread: the shard's. Fails: bad_request when `end`
// lies inside a batch or below the first segment; with what the disk says.
#pragma once

#include "storage/checkpoint.h"
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

  struct Plan {
    std::string directory;
    std::vector<SegmentRef> segments;  // by base offset
    Offset end;
    Checkpoint lowered;  // what is written before anything is removed: the log ends at `end`
  };

  Truncation(Disk& disk, SlabPool& slabs, SegmentPool& pool, CheckpointFile& checkpoint_file,
             Plan plan, Done done);
  void start();

 private:
  void on_found(const SegmentScan::Found& found);
  void lower_checkpoint();
  void remove_index();
  void remove_later();
  void open();
  void cut(FileId file);
  void step(IoResult io);

  enum class Stage { idle, remove_index, open, close } stage_ = Stage::idle;
  Disk& disk_;
  SlabPool& slabs_;
  SegmentPool& pool_;
  CheckpointFile& checkpoint_file_;
  Plan plan_;
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
