#include "storage/segment_removal.h"

#include "storage/base/call_last.h"
#include "storage/base/check.h"
#include "storage/log_files.h"

#include <utility>

namespace millrace {

SegmentRemoval::SegmentRemoval(Disk& disk, SegmentPool& pool, std::string directory,
                               std::vector<SegmentRef> segments, bool recycle, Done done)
    : disk_(disk),
      pool_(pool),
      directory_(std::move(directory)),
      segments_(std::move(segments)),
      recycle_(recycle),
      done_(std::move(done)),
      io_(this, Completion::to<&SegmentRemoval::step, SegmentRemoval>()) {}

// What did not get to the pool, because a step failed, never will.
SegmentRemoval::~SegmentRemoval() { pool_.cancel(reserved_bytes_); }

void SegmentRemoval::start() { next_segment(); }

void SegmentRemoval::cancel(std::uint64_t bytes) {
  pool_.cancel(bytes);
  reserved_bytes_ -= bytes;
}

void SegmentRemoval::next_segment() {
  if (at_ == segments_.size()) {
    stage_ = Stage::sync_log_directory;
    return disk_.sync_directory(io_, directory_);
  }
  stage_ = Stage::remove_index;
  disk_.remove(io_, join_path(directory_, index_file_name(segments_[at_]->base())));
}

void SegmentRemoval::step(IoResult io) {
  switch (stage_) {
    case Stage::remove_index: {
      // Usually there; an active or freshly recovered segment has none.
      const SegmentRef& segment = segments_[at_];
      stage_ = Stage::take_segment;
      taking_ = {};
      // A read or a seal in flight would be another owner, with the file open.
      const bool unused = segment.use_count() == 1;
      const std::uint64_t bytes = align_down(segment->end_position.value, 4096);
      if (recycle_ && unused && segment->readable && pool_.reserve(bytes)) {
        reserved_bytes_ += bytes;
        taking_ = {join_path(pool_.directory(), pool_.fresh_name()), bytes};
        return disk_.rename(io_, segment->path, taking_.path);
      }
      return disk_.remove(io_, segment->path);
    }
    case Stage::take_segment:
      // The pool's directory would have to grow.
      if (!io && io.error().code == Errc::storage_full && !taking_.path.empty()) {
        cancel(std::exchange(taking_, {}).bytes);
        return disk_.remove(io_, segments_[at_]->path);
      }
      if (!io && io.error().code != Errc::not_found) return call_last(done_, fail(io.error()));
      if (io && !taking_.path.empty()) {
        pooled_.push_back(std::move(taking_));
      } else {
        cancel(taking_.bytes);
      }
      ++at_;
      return next_segment();
    case Stage::sync_log_directory:
      if (!io) return call_last(done_, fail(io.error()));
      stage_ = Stage::sync_pool_directory;
      return disk_.sync_directory(io_, pool_.directory());
    case Stage::sync_pool_directory:
      if (!io) return call_last(done_, fail(io.error()));
      return next_free();
    case Stage::free:
      if (!io) {
        // It can never be given away, and its space is wanted.
        stage_ = Stage::remove_moving;
        return disk_.remove(io_, pooled_[freed_].path);
      }
      reserved_bytes_ -= pooled_[freed_].bytes;
      pool_.put({SegmentPool::free_path(pooled_[freed_].path), pooled_[freed_].bytes});
      ++freed_;
      return next_free();
    case Stage::remove_moving:  // or it stays, and is removed by the next start
      cancel(pooled_[freed_].bytes);
      ++freed_;
      return next_free();
    case Stage::idle: break;
  }
  UNREACHABLE("a removal completed an I/O it never started");
}

// Not before both directories are synced: the old name of a file that the pool gives away must not
// come back.
void SegmentRemoval::next_free() {
  if (freed_ == pooled_.size()) return call_last(done_, Result<void>{});
  stage_ = Stage::free;
  const std::string& path = pooled_[freed_].path;
  disk_.rename(io_, path, SegmentPool::free_path(path));
}

}  // namespace millrace
