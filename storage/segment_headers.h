// Staged operation: from the names of segment files to what a log knows of its segments, by reading
// each one's header block.
//
// A header that does not verify may stand before good data: the segment stays, fenced. A header
// that verifies and names another log or another place is somebody else's file under our name: it
// is moved to the quarantine, durably there before its old name goes. A file that cannot be opened
// or read now may be whole: nothing is decided about it.
//
// Owner: Recovery. Thread: the shard's. Fails: with what the disk says; overloaded without memory.
#pragma once

#include "storage/io/disk.h"
#include "storage/log.h"
#include "storage/segment.h"
#include "storage/slab.h"

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <vector>

namespace millrace {

class SegmentHeaders {
 public:
  struct Found {
    // In the order of the names. end_position is the file's size; the ends are not known yet.
    std::deque<SegmentRef> segments;
    // Files that should have been set aside and are still there: one reason each.
    std::vector<std::string> left_in_place;
  };
  using Done = std::function<void(Result<Found>)>;

  // `bases` in order, one for each file.
  SegmentHeaders(Disk& disk, SlabPool& slabs, const LogIdentity& identity,
                 std::vector<Offset> bases, Done done);
  // `done` is the last act.
  void start() { next(); }

 private:
  void next();
  void step(IoResult io);
  void step_read(IoResult io);
  void step_aside(IoResult io);
  void take(std::size_t bytes);
  void move_aside();
  void leave_in_place(const Error& error);
  void give_up(Error error);

  enum class Stage {
    idle,
    open,
    size,
    read,
    close,
    make_quarantine,
    sync_root,
    list_quarantine,
    move_aside,
    sync_quarantine,
    sync_directory,
    close_failed
  } stage_ = Stage::idle;
  Disk& disk_;
  SlabPool& slabs_;
  const LogIdentity& identity_;
  const std::vector<Offset> bases_;
  Done done_;
  Completion io_;
  std::size_t at_ = 0;  // behind the base of segment_
  SegmentRef segment_;  // whose header is being read
  FileId file_;
  Buffer slab_;
  std::string foreign_;  // why segment_ is not ours
  std::vector<DirectoryEntry> quarantined_;
  Error error_;
  Found found_;
};

}  // namespace millrace
