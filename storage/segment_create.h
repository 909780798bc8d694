// Staged operation: makes the file of a new segment. The order is the durability argument: header
// durable in a file that is still in the pool's directory, and durably not free there, then the
// name, then the log's directory. So a name in a log's directory always has a whole header behind
// it, and a crash leaves either no new segment or an empty one. What fails before the file has its
// name leaves no file behind.
#pragma once

#include "storage/format/segment_layout.h"
#include "storage/io/disk.h"
#include "storage/segment_pool.h"
#include "storage/slab.h"

#include <functional>
#include <string>

namespace millrace {

class SegmentCreate {
 public:
  struct Made {
    FileId file;
    std::uint64_t file_bytes = 0;  // allocated, from a recycled file
  };
  using Done = std::function<void(Result<Made>)>;

  enum class Take { recycled_or_fresh, fresh };

  SegmentCreate(Disk& disk, SlabPool& slabs, SegmentPool& pool, std::string directory,
                SegmentHeader header, Take take, Done done);
  void start();

 private:
  void step(IoResult io);
  void write_header();
  void fail_with(Error error);
  void discard();

  enum class Stage {
    idle,
    open,
    claim,
    sync_pool_directory,
    write_header,
    rename,
    sync_log_directory,
    close_failed,
    remove_failed
  } stage_ = Stage::idle;
  Disk& disk_;
  SlabPool& slabs_;
  SegmentPool& pool_;
  const std::string directory_;
  const SegmentHeader header_;
  const Take take_;
  Done done_;
  Completion io_;
  Buffer block_;
  std::string moving_path_, prepared_path_;
  bool is_pooled_ = false;
  bool prepared_ = false;  // a file is there, and not the log's yet
  Made made_;
  Error error_;
};

}  // namespace millrace
