// Staged operation: one read of a log from disk. Finds the place by the segment's index (loaded or
// rebuilt when needed), reads one window, trims it to whole, verified batches.
//
// Owner: Log; the caller holds a LogRead and may drop it at any time, after which nothing is
// called. Thread: the shard's.
#pragma once

#include "storage/batch_scan.h"
#include "storage/io/disk.h"
#include "storage/log.h"
#include "storage/segment.h"
#include "storage/segment_index_files.h"
#include "storage/segment_scan.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace millrace {

class SegmentRead {
 public:
  struct Plan {
    SegmentRef segment;
    std::string index_path;
    Offset from;
    Offset limit;  // readable end of this segment
    std::size_t bytes_max = 0;
    std::uint32_t index_interval_bytes = 0;
  };
  // Damage that was met, also when the read itself succeeded.
  using OnDamage = std::function<void(const SegmentRef&, const std::vector<SegmentScan::Damage>&)>;
  using Done = std::function<void(Result<ReadResult>)>;

  SegmentRead(Disk& disk, SlabPool& slabs, Plan plan, OnDamage on_damage, Done done);
  void start();

 private:
  void on_indexed();
  void open();
  void step(IoResult io);
  void read_window(Position from, std::size_t bytes_min);
  void walk();
  void look_behind_damage();
  void finish(Result<ReadResult> outcome);

  enum class Stage { idle, open, read, close } stage_ = Stage::idle;
  Disk& disk_;
  SlabPool& slabs_;
  Plan plan_;
  OnDamage on_damage_;
  Done done_;
  Completion io_;
  FileId file_;
  std::unique_ptr<IndexLoad> load_;
  std::unique_ptr<SegmentScan> scan_;
  IndexEntry entry_;
  bool index_rebuilt_ = false;
  Buffer slab_;
  ScanWindow window_;
  std::size_t window_wanted_ = 0;
  Position file_end_;
  Position at_;
  ScanExpectation expect_;
  ReadResult result_;
  Position run_begin_, run_end_;  // whole batches found in the window
  Result<ReadResult> outcome_ = ReadResult{};
};

}  // namespace millrace
