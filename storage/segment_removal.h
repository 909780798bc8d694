// Staged operation: takes segment files out of a log's directory, oldest first, so that a crash
// never leaves a hole. A file that nobody else holds becomes a free segment if the pool has room;
// others lose their name and live as long as their readers. So the caller keeps no reference to the
// segments.
//
// The caller has made durable that the log starts behind them: recovery finishes a removal that was
// cut short.
#pragma once

#include "storage/io/disk.h"
#include "storage/segment.h"
#include "storage/segment_pool.h"

#include <functional>
#include <string>
#include <vector>

namespace millrace {

class SegmentRemoval {
 public:
  using Done = std::function<void(Result<void>)>;

  // `segments` in the order of removal. `recycle`: whether the files may go to the pool.
  SegmentRemoval(Disk& disk, SegmentPool& pool, std::string directory,
                 std::vector<SegmentRef> segments, bool recycle, Done done);
  SegmentRemoval(const SegmentRemoval&) = delete;
  SegmentRemoval& operator=(const SegmentRemoval&) = delete;
  ~SegmentRemoval();
  void start();

 private:
  void step(IoResult io);
  void cancel(std::uint64_t bytes);
  void next_segment();
  void next_free();

  enum class Stage {
    idle,
    remove_index,
    take_segment,
    sync_log_directory,
    sync_pool_directory,
    free,
    remove_moving
  } stage_ = Stage::idle;
  Disk& disk_;
  SegmentPool& pool_;
  const std::string directory_;
  std::vector<SegmentRef> segments_;
  const bool recycle_;
  Done done_;
  Completion io_;
  std::size_t at_ = 0;
  SegmentPool::Pooled taking_;  // being renamed; without a path: being removed
  std::vector<SegmentPool::Pooled> pooled_;
  std::uint64_t reserved_bytes_ = 0;  // in the pool, of taking_ and those of pooled_ to be freed
  std::size_t freed_ = 0;             // of pooled_
};

}  // namespace millrace
