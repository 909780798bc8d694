// Staged operations on index files: write one, load one (or rebuild it from its segment when it is
// missing, damaged or another's). The index is derived data: a failure to write it is not an error
// of the log.
#pragma once

#include "storage/format/index_layout.h"
#include "storage/io/disk.h"
#include "storage/segment.h"
#include "storage/segment_pool.h"
#include "storage/segment_scan.h"
#include "storage/slab.h"

#include <functional>
#include <memory>
#include <string>

namespace millrace {

// Written beside the logs and renamed into place, so that a reader sees a whole index or none.
class IndexWrite {
 public:
  IndexWrite(Disk& disk, SlabPool& slabs, SegmentPool& pool, std::string path,
             const IndexFile& index, std::function<void()> done);
  void start();

 private:
  void step(IoResult io);
  void discard();
  enum class Stage { idle, create, write, close, rename, remove } stage_ = Stage::idle;
  Disk& disk_;
  const std::string path_;
  const std::string prepared_path_;
  std::function<void()> done_;
  Completion io_;
  Buffer slab_;
  std::size_t bytes_ = 0;
  FileId file_;
};

// One load of a segment at a time: who comes meanwhile waits for it, so that however many readers
// come after a restart, the segment is read once.
class IndexLoad {
 public:
  // Damage that a rebuild met; empty when the file served, or when another load tells of it.
  using Done = std::function<void(Result<std::vector<SegmentScan::Damage>>)>;

  IndexLoad(Disk& disk, SlabPool& slabs, SegmentRef segment, std::string index_path,
            std::uint32_t interval_bytes, Done done);
  // On success the segment's index is whole.
  void start();

 private:
  void step(IoResult io);
  bool take(ByteView bytes);
  void rebuild();
  void end(Result<std::vector<SegmentScan::Damage>> outcome);

  enum class Stage { idle, open, size, read, close } stage_ = Stage::idle;
  Disk& disk_;
  SlabPool& slabs_;
  SegmentRef segment_;
  const std::string index_path_;
  const std::uint32_t interval_bytes_;
  Done done_;
  Completion io_;
  Buffer slab_;
  FileId file_;
  bool taken_ = false;
  bool was_active_ = false;  // at the start; appends may seal it meanwhile
  std::unique_ptr<SegmentScan> scan_;
};

}  // namespace millrace
