// Seam: where a shard's thread sleeps. Watches descriptors and wakes at a deadline; I/O of the disk
// that belongs to the reactor wakes it too. Two implementations: ring (io_uring) and poll_reactor
// (poll(2), with thread_disk).
//
// Thread: created, used and destroyed on one thread, except Wake::wake.
#pragma once

#include "storage/base/result.h"
#include "storage/base/units.h"

namespace millrace {

// Told that a watched descriptor became readable. Level or edge is the descriptor's own business.
class Watcher {
 public:
  virtual ~Watcher() = default;
  virtual void on_readable() = 0;
};

class Reactor {
 public:
  virtual ~Reactor() = default;

  // Watches `descriptor` for input until unwatch. `watcher` must outlive the watch.
  virtual Result<void> watch(int descriptor, Watcher& watcher) = 0;
  virtual void unwatch(int descriptor) = 0;

  // Submits what is staged, then sleeps until a descriptor is readable, an I/O completes, or
  // `deadline` (on the monotonic clock) has passed; returns at once if the deadline is in the past.
  // Calls the watchers of what became readable. Completions of disk I/O are called by Disk::reap,
  // not from here.
  virtual void wait_until(Instant deadline) = 0;
};

}  // namespace millrace
