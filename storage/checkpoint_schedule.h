// When the checkpoints of a running log are written, what they say, and who waits for them: after
// so many bytes, when the log has been quiet for a while, when a segment was made, and when the
// start is to move. One at a time; what is wanted meanwhile is the next one's.
//
// Owner: Log. Thread: the shard's. Numbers: the pending start becomes the log's start_offset when a
// checkpoint that says so is durable, and not before: what a consumer is told must not move back.
// Fails: a checkpoint that cannot be written is told to who waits, and named in diag; the pending
// start stays, and the next checkpoint carries it. Writes only while the log is open.
//
// Always: what is durable fits the blocks that both slots of the file have, so that on a full disk
// the start can be moved and space be made. It holds because no batch is committed before there is
// room for its session (make_room), at its longest; and unless the disk refused to reserve blocks
// for another reason than want of space.
#pragma once

#include "storage/checkpoint.h"
#include "storage/io/timers.h"
#include "storage/log.h"
#include "storage/log_state.h"
#include "storage/log_tail.h"

#include <cstdint>
#include <functional>
#include <vector>

namespace millrace {

class CheckpointSchedule {
 public:
  using Done = std::function<void(Result<void>)>;
  // Called from reap.
  class Owner {
   public:
    // start_offset may have moved, durably. Both slots of the checkpoint say at least
    // `in_both_slots`: whichever may be lost, the other one does not miss what lies below.
    virtual void on_start_saved(Offset in_both_slots) = 0;
    // Answers make_room: there is room now for every session of the log, or why not.
    virtual void on_room_made(const Result<void>& made) = 0;
    // No checkpoint is in flight.
    virtual void on_ended() = 0;

   protected:
    ~Owner() = default;
  };

  // What it is made of outlives it.
  CheckpointSchedule(const LogEnvironment& environment, const LogIdentity& identity,
                     const LogOptions& options, LogState& state, const LogTail& tail,
                     CheckpointFile& file, Owner& owner);
  CheckpointSchedule(const CheckpointSchedule&) = delete;
  CheckpointSchedule& operator=(const CheckpointSchedule&) = delete;

  // -- life
  // The log was recovered.
  void begin();
  // The log is being closed or cut: nothing is written until resume or begin.
  void pause();
  void resume();
  // Who waits for a checkpoint that will not be written.
  void refuse_waiting(const Error& error);

  // -- occasions
  // So many bytes became durable.
  void note_progress(std::uint64_t bytes);
  // `done` may be empty.
  void request(Done done);
  // `start` is within the log. A lower one than before changes nothing.
  void move_start(Offset start, Done done);

  // -- room, also while nothing is written
  // Whether every session of the log, staged ones included, fits a checkpoint.
  bool has_room() const;
  // A commit waits for it, until Owner::on_room_made.
  void make_room();
  // Once the disk had none, a session more is not staged, to be taken back with all that waits with
  // it: ok, or why not. The disk is asked again once in a while, beside the commits.
  Result<void> admit_session(std::uint64_t producer_id);
  // Whether the disk had no space for a session more when it was asked last.
  bool lacks_space() const {
    return state_.refusal.empty() && room_error_.code == Errc::storage_full;
  }

  // -- contents
  Checkpoint contents() const;
  // Of a log that is about to end at `end`: what the checkpoint vouches for must not be more than
  // what will be there.
  Checkpoint lowered_to(Offset end);

 private:
  void write();
  void on_written(const Result<void>& written, Offset start);
  bool has_room(std::size_t sessions) const;
  void ask_for_room();
  void on_reserved(const Result<void>& reserved);
  void answer_commit(const Result<void>& made);
  void on_idle();
  void on_room_timer();

  LogEnvironment environment_;
  const LogIdentity& identity_;
  const LogOptions& options_;
  LogState& state_;
  const LogTail& tail_;
  CheckpointFile& file_;
  Owner& owner_;
  bool running_ = false;
  bool wanted_ = false;
  bool commit_waits_ = false;  // for room
  std::size_t room_asked_ = 0;
  std::size_t room_given_up_ = 0;  // asked for in vain, for another reason than a full disk
  Error room_error_;  // why there is none for a session more; Errc::ok: there is, or nobody asked
  std::vector<Done> waiting_, waiting_for_next_;
  std::uint64_t bytes_since_ = 0;
  Offset pending_start_;
  Offset saved_start_;  // what the newest slot says
  Timer idle_timer_;
  Timer room_timer_;
};

}  // namespace millrace
