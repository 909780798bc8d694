// A partition's log: what the broker sees of storage.
//
// Trip one enters by append and flush and comes back by LogListener::on_durable; trip two enters by
// plan_read and goes on with read. Everything else is life: open (recovery), roll, retention, trim,
// truncation, checkpoint, close.
//
// Owner: the broker's partition. Thread: the shard's. Needs a Disk, Clock, Timers and SlabPool that
// outlive it. Numbers: start_offset() <= durable_end() <= appended_end(); every end is exclusive;
// none of the ends moves back except by truncate. Fails: after the first failed write or sync the
// log takes no more appends (Errc::storage_error, or storage_full while the disk is full) and what
// was not durable then is never acked; reads go on.
#pragma once

#include "storage/base/ids.h"
#include "storage/base/random.h"
#include "storage/base/result.h"
#include "storage/base/units.h"
#include "storage/format/batch.h"
#include "storage/io/clock.h"
#include "storage/io/disk.h"
#include "storage/io/timers.h"
#include "storage/log_options.h"
#include "storage/producer_state.h"
#include "storage/slab.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace millrace {

class SegmentPool;  // storage/segment_pool.h: retired files, kept to be segments again
class CacheBudget;  // storage/tail_cache.h: memory that the tail caches of all logs share

struct LogIdentity {
  ClusterId cluster_id;
  TopicId topic_id;
  PartitionIndex partition = 0;
  std::string topic_name;
  // Directory of this log's files, relative to the disk's root.
  std::string directory;
};

// What the logs of a shard share. All outlive the logs.
struct LogEnvironment {
  Disk& disk;
  Clock& clock;
  Timers& timers;
  SlabPool& slabs;
  Random& random;
  SegmentPool& segment_pool;
  CacheBudget& cache_budget;
};

// The one owner that hears of a log's progress. Called from the turn, never from inside append or
// flush.
class LogListener {
 public:
  virtual ~LogListener() = default;
  // Every event below `end` is on disk. `batches` are those that became durable just now, oldest
  // first.
  virtual void on_durable(Offset end, const std::vector<Buffer>& batches) = 0;
  // The log takes no more appends; everything at and after durable_end() fails with `error`.
  virtual void on_append_failed(const Error& error) = 0;
};

// An offset range whose bytes do not verify. Reads name it and go on behind it.
struct CorruptRange {
  OffsetRange offsets;
  std::string file;
  Position position;
  std::string reason;
};

// Whole batches, in order; each Buffer holds one or more with zero words between them.
struct ReadResult {
  std::vector<Buffer> buffers;
  Offset next_offset;  // where the next read goes on
};

// What a read from disk takes of memory at the least, however little is asked for.
inline constexpr std::size_t read_memory_min = 128 * KiB;

// One read from disk in flight. Owner: whoever asked; may be destroyed at any time (the I/O then
// finishes unseen).
class LogRead {
 public:
  virtual ~LogRead() = default;
};

class Log {
 public:
  using Done = std::function<void(Result<void>)>;
  using ReadDone = std::function<void(Result<ReadResult>)>;

  Log(LogEnvironment environment, LogIdentity identity, LogOptions options, LogListener& listener);
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;
  // Must be closed or never opened.
  ~Log();

  // -- life. One of these at a time; `done` is called from a later turn.
  // Makes the directory if it is not there; recovers what is in it. Errors: storage_error,
  // data_dir_refused.
  void open(Done done);
  // Waits for the commit in flight, writes a clean checkpoint, closes files. Appends are refused
  // from now on.
  void close(Done done);
  // Drops [end, ...) durably (a follower's conflict). `end` must not cut a batch in two. Waits for
  // the reads in flight.
  void truncate(Offset end, Done done);
  // Moves the start up to `start` durably (clamped to durable_end()), then removes whole segments
  // below it.
  void trim(Offset start, Done done);
  // Removes what the retention rules allow; called on roll and once a minute.
  void apply_retention();
  void set_options(const LogOptions& options);

  // -- trip one
  // Copies one verified, unplaced batch into the log's slab and gives it its place. No I/O. Answers
  // its offsets. Errors: too_large, overloaded, storage_full, storage_error, read_only.
  Result<OffsetRange> append(const BatchView& batch);
  // Starts one synced write of all that is staged, unless one is in flight. Called at the end of
  // every turn.
  void flush();
  bool has_staged() const;
  std::uint64_t staged_bytes() const;

  // -- trip two. Nothing is read while the log is being closed or truncated (shutting_down).
  // The first offset at or after `from` that can be read now, served from memory when all of it is
  // there. Errors: offset_out_of_range below start_offset() or above durable_end(); corrupt when
  // `from` lies in a corrupt range (the text names it, and its end is where reading goes on);
  // storage_error. Empty `buffers` with next_offset == from: nothing durable there yet, or it is on
  // disk (see must_read).
  Result<ReadResult> read_cached(Offset from, std::size_t bytes_max, bool& must_read);
  // The same from disk: at least one whole batch, even when it is larger than bytes_max.
  std::unique_ptr<LogRead> read(Offset from, std::size_t bytes_max, ReadDone done);
  // The same, always from the disk: what memory holds of it is not believed. Empty `buffers` with
  // next_offset == from: nothing durable there.
  std::unique_ptr<LogRead> verify(Offset from, std::size_t bytes_max, ReadDone done);
  // The first offset whose batch was appended at or after `time`; durable_end() if there is none.
  std::unique_ptr<LogRead> find_time(WallTime time, std::function<void(Result<Offset>)> done);

  // -- numbers
  Offset start_offset() const;
  Offset durable_end() const;
  Offset appended_end() const;
  std::uint64_t bytes() const;  // on disk, preallocation not counted
  std::size_t segment_count() const;
  WallTime last_append_time() const;
  const ProducerStates& producers() const;
  const std::vector<CorruptRange>& corrupt_ranges() const;
  // Whether sessions that the log does not know are refused for want of space.
  bool lacks_space() const;
  // Empty, or why the log refuses appends.
  const std::string& refusal() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace millrace
