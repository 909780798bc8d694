// Staged operation: after its last commit a segment gives back what was preallocated, gets its
// index file, and is closed. None of this is needed for correctness: a crash in between leaves a
// longer file and no index, and both are made good on reading.
#pragma once

#include "storage/segment.h"
#include "storage/segment_index_files.h"

#include <functional>
#include <memory>

namespace millrace {

class SegmentSeal {
 public:
  SegmentSeal(Disk& disk, SlabPool& slabs, SegmentPool& pool, SegmentRef segment, FileId file,
              std::string index_path, IndexFile index, std::function<void()> done);
  void start();
  const SegmentRef& segment() const { return segment_; }

 private:
  void step(IoResult io);
  enum class Stage { idle, set_length, close } stage_ = Stage::idle;
  Disk& disk_;
  SlabPool& slabs_;
  SegmentPool& pool_;
  SegmentRef segment_;
  FileId file_;
  const std::string index_path_;
  IndexFile index_;
  std::function<void()> done_;
  Completion io_;
  std::unique_ptr<IndexWrite> write_;
};

}  // namespace millrace
