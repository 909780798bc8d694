// The small per-log state file: two alternating slots, the newest valid one counts
// (format/checkpoint_layout.h).
//
// What it says is never on the way of an ack: losing it costs a longer scan. Only trim and
// retention wait for it, because a start that a consumer was told must not move back; and they must
// not want space, which they are there to make. So both slots get their blocks before the first
// event of a session is written (reserve), and no write needs more. Owner: Log. Thread: the
// shard's.
#pragma once

#include "storage/format/checkpoint_layout.h"
#include "storage/io/disk.h"
#include "storage/slab.h"

#include <functional>
#include <optional>
#include <string>

namespace millrace {

class CheckpointFile {
 public:
  using Loaded = std::function<void(Result<std::optional<Checkpoint>>)>;
  using Written = std::function<void(Result<void>)>;

  CheckpointFile(Disk& disk, SlabPool& slabs, std::string directory);

  // Reads both slots. Answers the newest valid one that belongs to this log, or none; a slot that
  // is damaged is named in diag, a file that is not there is none. The caller makes the name of a
  // file that is there durable, unless what it says is clean.
  void load(TopicId topic, PartitionIndex partition, Loaded done);
  // Whether load met two slots that were written once and tell nothing any more. A loss of power
  // can do that to one, which alone was the first write of a young log.
  bool lost_both_slots() const { return lost_slots_ == 2; }
  // Gives both slots the blocks for states of up to `bytes`, durably, making the file if needed.
  // Where the file system gives none ahead, it is no more than the file's length.
  void reserve(std::size_t bytes, Written done);
  // What no write needs new blocks for; 0 until reserve: what a file that is there has is not
  // known.
  std::size_t room() const { return room_; }
  // Writes `next` into the older slot, durably, making the file if needed. One at a time. The file
  // is open only meanwhile: ten thousand idle logs hold no descriptors.
  void write(Checkpoint next, Written done);
  bool busy() const { return stage_ != Stage::idle; }

 private:
  enum class Stage {
    idle,
    load_open,
    load_read,
    load_sync,
    load_close,
    open,
    create,
    write,
    reserve_first,
    reserve_second,
    reserve_sync,
    sync_name,
    close
  };

  void step(IoResult io);
  void step_load(IoResult io);
  void step_write(IoResult io);
  void step_reserve(IoResult io);
  void open_or_create(Stage then);
  void on_opened(IoResult io);
  void close_after(Result<void> outcome);
  void read_slot(std::size_t bytes);
  void write_slot();
  void sync_name();
  std::size_t slot_size(std::size_t bytes_read) const;
  void take_slot(std::size_t bytes);

  Stage stage_ = Stage::idle;
  Stage opened_for_ = Stage::idle;  // write, or reserve_first
  Disk& disk_;
  SlabPool& slabs_;
  const std::string directory_;
  Completion io_;
  FileId file_;
  Buffer slab_;
  int slot_ = 0;
  int newest_slot_ = 1;
  int lost_slots_ = 0;
  std::uint64_t generation_ = 0;
  TopicId topic_;
  PartitionIndex partition_ = 0;
  std::optional<Checkpoint> best_;
  Error load_error_;
  bool name_is_durable_ = false;  // a write that failed may have left the file without it
  std::size_t write_bytes_ = 0;
  std::size_t asked_bytes_ = 0;  // of the slot that is being read
  std::size_t room_ = 0;
  std::size_t room_wanted_ = 0;
  Result<void> outcome_;
  Loaded loaded_;
  Written written_;
};

}  // namespace millrace
