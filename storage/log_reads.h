// Trip two of one log: what can be read from memory, and the reads from disk that are in flight.
//
// Owner: Log. Thread: the shard's. It plans by the log's state, reads what the plan holds
// (segments, never the log), and looks at the state again when the answer has come: retention may
// have passed by. Damage that a read meets is added to the log's corrupt ranges. Fails: as
// Log::read_cached and Log::read say. Always: no answer comes from inside the call that asked.
#pragma once

#include "storage/io/deferred_calls.h"
#include "storage/log.h"
#include "storage/log_state.h"
#include "storage/tail_cache.h"

#include <functional>
#include <list>
#include <memory>
#include <string>
#include <vector>

namespace millrace {

class LogReads {
 public:
  using ReadDone = Log::ReadDone;
  using TimeDone = std::function<void(Result<Offset>)>;

  // What it is made of outlives it. `on_ended` is called whenever a read has ended, as the last
  // act.
  LogReads(const LogEnvironment& environment, const LogIdentity& identity,
           const LogOptions& options, LogState& state, const TailCache& cache,
           DeferredCalls& deferred, std::function<void()> on_ended);
  LogReads(const LogReads&) = delete;
  LogReads& operator=(const LogReads&) = delete;
  ~LogReads();

  Result<ReadResult> read_cached(Offset from, std::size_t bytes_max, bool& must_read) const;
  std::unique_ptr<LogRead> read(Offset from, std::size_t bytes_max, ReadDone done);
  std::unique_ptr<LogRead> verify(Offset from, std::size_t bytes_max, ReadDone done);
  std::unique_ptr<LogRead> find_time(WallTime time, TimeDone done);

  // No read is taken until resume: the log is being closed or cut. What is in flight goes on.
  void pause() { paused_ = true; }
  void resume() { paused_ = false; }
  // Nobody waits any more; what is in flight finishes unseen.
  void give_up();
  bool idle() const { return entries_.empty(); }

 private:
  class Handle;
  struct Entry;

  Entry& new_entry();
  std::unique_ptr<LogRead> answer_later(std::function<void()> answer);
  Result<void> check_place(Offset from) const;
  std::unique_ptr<LogRead> read_disk(Offset from, std::size_t bytes_max, ReadDone done);
  void end(Entry& entry, const std::function<void()>& answer);
  void end_read(Entry& entry, Offset from, Result<ReadResult> result, const ReadDone& done);
  void note_damage(const Segment& segment, const std::vector<SegmentScan::Damage>& damage);
  SegmentRef segment_of(Offset offset) const;
  SegmentRef segment_of(WallTime time) const;
  Offset readable_end(const Segment& segment) const;
  Error out_of_range(std::string text) const;
  std::string index_path(const Segment& segment) const;

  LogEnvironment environment_;
  const LogIdentity& identity_;
  const LogOptions& options_;
  LogState& state_;
  const TailCache& cache_;
  DeferredCalls& deferred_;
  const std::function<void()> on_ended_;
  bool paused_ = false;
  std::list<Entry> entries_;
};

}  // namespace millrace
