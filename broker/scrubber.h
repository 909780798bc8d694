// Reads everything on disk again, slowly, so that damage is known before somebody needs what it
// hit.
//
// Trip two without a reader: one log.verify at a time, partition after partition in the order of
// topic names, from start to end as it stood when the partition's turn came. What does not verify
// is fenced and named by the log itself, as for any reader (G7); nothing is repaired here.
//
// Owner: Shard. Thread: the shard's. Numbers: at most scrub_bytes_per_second, counted in bytes of
// whole batches; a pass begins at most once in scrub_interval, the first with the shard's start.
// Fails: a log that cannot be read now (storage_error) is left for the next pass, is told in diag
// and counted.
#pragma once

#include "broker/core.h"
#include "storage/io/timers.h"
#include "storage/log.h"

#include <memory>
#include <string>

namespace millrace {

class Catalog;
class Partition;

class Scrubber {
 public:
  Scrubber(const Core& core, const Catalog& catalog);
  Scrubber(const Scrubber&) = delete;
  Scrubber& operator=(const Scrubber&) = delete;

  // Does nothing when scrub_bytes_per_second is 0.
  void start();
  void stop();
  // The partition is about to be closed: the read in flight ends unseen, the pass goes on behind
  // it.
  void leave(const Partition& partition);

 private:
  void step();
  Partition* find_place();
  void next_partition();
  void end_pass();
  void on_read(Result<ReadResult> read);
  void on_fault(const Error& error);
  void pause_for(std::uint64_t bytes);

  const Core& core_;
  const Catalog& catalog_;
  Timer timer_;
  Instant pass_begin_;
  // Where the pass stands.
  std::string topic_;
  PartitionIndex partition_ = 0;
  Offset offset_, end_;
  bool entered_ = false;  // offset_ and end_ are of the partition at the place
  Partition* reading_ = nullptr;
  std::unique_ptr<LogRead> read_;
};

}  // namespace millrace
