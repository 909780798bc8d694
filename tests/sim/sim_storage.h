// One log on a simulated disk, with everything that a shard would give it, and verbs that run turns
// until an answer is there. A loss of power ends the "process": its log is wound up without effect
// on the disk, and open starts a new one.
//
// Always checked: on_durable never goes back, its batches verify and follow each other without a
// gap, and nothing is told after on_append_failed.
#pragma once

#include "storage/log.h"
#include "storage/segment_pool.h"
#include "storage/tail_cache.h"
#include "tests/sim/sim_clock.h"
#include "tests/sim/sim_disk.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace millrace::sim {

struct SimStorageOptions {
  LogOptions log;
  std::uint64_t pool_bytes = 512 * KiB;
  std::uint64_t cache_bytes = 1 * MiB;
  std::uint64_t latency_reaps = 0;
};

// Segments of 64 KiB, small steps of preallocation, no retention.
LogOptions small_log_options();

struct StoredBatch {
  BatchHeader header;
  std::vector<std::byte> bytes;
};

// What a reader that starts at the beginning and goes on behind every hole gets to see.
struct StoredContents {
  std::vector<StoredBatch> batches;
  std::vector<OffsetRange> holes;  // as the errors named them
};

class SimStorage final : public LogListener {
 public:
  explicit SimStorage(std::uint64_t seed, SimStorageOptions options = {small_log_options()});
  ~SimStorage() override;

  // -- life
  Result<void> open();
  Result<void> close();
  // The first half of a close, for tests that look at what happens meanwhile; close is the second.
  void start_close(Log::Done done);
  // Cuts the power now (or finds it cut), winds the old process up and opens again.
  Result<void> crash_and_reopen(const CrashPolicy& policy);
  void crash(const CrashPolicy& policy);  // without the new open
  bool is_open() const { return process_ != nullptr && open_; }

  // -- verbs; each runs turns until it is answered, and answers timed_out when it never is.
  Result<OffsetRange> append(ByteView batch);  // no I/O
  // Waits until all that was appended is durable. Errors: what on_append_failed said.
  Result<void> commit();
  Result<OffsetRange> append_and_commit(ByteView batch);
  Result<void> truncate(Offset end);
  Result<void> trim(Offset start);
  // From memory if it is there, else from disk, as a broker does.
  Result<ReadResult> read(Offset from, std::size_t bytes_max = 1 * MiB);
  Result<ReadResult> read_disk(Offset from, std::size_t bytes_max = 1 * MiB);
  Result<Offset> find_time(WallTime time);
  // Stops (with what it has) at an error that names no range.
  Result<StoredContents> read_all(std::size_t bytes_max = 1 * MiB, bool from_disk = false);

  // -- the turn
  void turn();
  // Turns until `condition` holds; sleeps as long as timers say when there is nothing else to do.
  // False when it can never hold any more, or does not within a great number of turns.
  bool run_until(const std::function<bool()>& condition);
  // Turns until no I/O is in flight and nothing is staged, without moving the clock.
  void settle();
  void advance(Duration passed);

  // -- parts
  Log& log() { return *process_->log; }
  SimDisk& disk() { return disk_; }
  SimClock& clock() { return clock_; }
  Random& random() { return random_; }
  SlabPool& slabs() { return process_->slabs; }
  SimStorageOptions& options() { return options_; }
  LogIdentity& identity() { return identity_; }

  // -- heard from the log
  Offset told_end() const { return told_end_; }  // by on_durable, since open
  const Error& append_error() const { return append_error_; }
  std::size_t commits_told() const { return commits_told_; }

  // -- files of the log, oldest first
  std::string path(std::string_view name) const {
    return identity_.directory + "/" + std::string(name);
  }
  std::vector<std::string> files_ending(std::string_view suffix) const;
  std::string segment_path(std::size_t i) const { return path(files_ending(".segment").at(i)); }

  void on_durable(Offset end, const std::vector<Buffer>& batches) override;
  void on_append_failed(const Error& error) override;

 private:
  struct Process {
    Process(SimStorage& s);
    Timers timers;
    SlabPool slabs;
    SegmentPool pool;
    CacheBudget cache;
    std::unique_ptr<Log> log;
  };
  struct Wait;

  void wind_up();
  Result<void> life(const std::function<void(Log::Done)>& start);

  Random random_;
  SimStorageOptions options_;
  SimDisk disk_;
  SimClock clock_;
  LogIdentity identity_;
  std::unique_ptr<Process> process_;
  bool open_ = false;
  Offset told_end_;
  Error append_error_;
  std::size_t commits_told_ = 0;
};

}  // namespace millrace::sim
