// Staged operation: cuts an open segment file behind its last batch that counts, durably. First
// zeros up to the end of that batch's block, then the length, then a sync: when the power goes in
// between, the same prefix verifies.
//
//   | ... the last batch that counts | 0 0 0 | what goes ...
//                                    end     the next block: the new length
//
// Owner: whoever has the file open for writing: recovery (a torn tail), a truncation, the log (what
// a full disk left half written). It writes nothing else meanwhile. Thread: the shard's. Fails:
// with what the disk says, and then what lies behind `end` is unknown; overloaded without memory.
#pragma once

#include "storage/io/disk.h"
#include "storage/slab.h"

#include <functional>

namespace millrace {

class TailCut {
 public:
  using Done = std::function<void(Result<void>)>;

  TailCut(Disk& disk, SlabPool& slabs);
  // One at a time. `done` is the last act, and may destroy this.
  void start(FileId file, Position end, Done done);
  bool busy() const { return stage_ != Stage::idle; }

 private:
  void step(IoResult io);
  void write_zeros();
  void cut();
  void finish(Result<void> outcome);

  enum class Stage { idle, read, write, set_length, sync } stage_ = Stage::idle;
  Disk& disk_;
  SlabPool& slabs_;
  Completion io_;
  FileId file_;
  Position end_;
  Buffer block_;
  Done done_;
};

}  // namespace millrace
