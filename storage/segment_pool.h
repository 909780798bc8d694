// Retired segment files, kept under other names to become segments again: their blocks are
// allocated and written, so a new segment costs no allocation and its synced writes no journal
// entry.
//
//   17.free          offered
//   18.moving        on its way into a log or out of one
//   19.moving.index  an index that is being written
//
// A loss of power may leave a file that moves with a name here and one in a log. So only what has
// no other name, durably, is called free; what moved is never offered at the next start, and loses
// its name here: a log's file has another.
//
// A pooled file keeps its old bytes; they can never be taken for new ones, because the segment's
// identity is in every checksum (docs/storage-format.md). Owner: the shard. Thread: the shard's.
#pragma once

#include "storage/base/result.h"
#include "storage/io/completion.h"
#include "storage/io/disk.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace millrace {

class SegmentPool {
 public:
  // `directory` relative to the disk's root; at most `bytes_max` are kept there.
  SegmentPool(Disk& disk, std::string directory, std::uint64_t bytes_max);
  SegmentPool(const SegmentPool&) = delete;
  SegmentPool& operator=(const SegmentPool&) = delete;

  // Makes the directory if needed, lists what is there, and removes the names of what moved and the
  // files that are above the limit. `done` is called from a later turn.
  void open(std::function<void(Result<void>)> done);

  const std::string& directory() const { return directory_; }
  // A name in directory() that no file has: for one that is about to be prepared or retired.
  std::string fresh_name();
  // What the file of such a path is called when it is free.
  static std::string free_path(std::string_view moving_path);

  struct Pooled {
    std::string path;
    std::uint64_t bytes = 0;
  };
  // Hands out a file; it is no longer the pool's.
  std::optional<Pooled> take();
  // While the disk is full nothing is kept, and what was kept is removed: the space is wanted by
  // all. To be said again and again: what could not be removed is tried again then.
  void set_keeping(bool keeping);
  // Nothing of its own is in flight.
  bool idle() const { return stage_ == Stage::idle; }
  // Whether a file of this size is kept. If so it counts from now on, while it moves: until put, or
  // until cancel says that it does not come.
  bool reserve(std::uint64_t bytes);
  void cancel(std::uint64_t bytes);
  // A reserved file that has its free_path() and no other name, durably, is now the pool's.
  void put(Pooled file) { files_.push_back(std::move(file)); }

 private:
  void on_step(IoResult result);
  void next_entry();
  Disk& disk_;
  std::string directory_;
  std::uint64_t bytes_max_;
  std::uint64_t bytes_ = 0;  // of files_, and reserved
  bool keeping_ = true;
  std::uint64_t next_name_ = 1;
  std::vector<Pooled> files_;
  Pooled shrinking_;  // being removed
  enum class Stage {
    idle,
    make,
    sync,
    list,
    open,
    size,
    close,
    close_surplus,
    remove,
    shrink
  } stage_ = Stage::idle;
  Completion io_;
  std::vector<DirectoryEntry> entries_;
  std::size_t at_entry_ = 0;
  FileId file_;
  std::function<void(Result<void>)> done_;
};

}  // namespace millrace
