// Disk over plain system calls in a few helper threads, for hosts where io_uring is refused. Same
// semantics as ring_disk.
//
// Reads have threads of their own, so a slow sync does not hold them up. Helpers make the blocking
// call and put the operation on the finished list; reap, on the shard's thread, calls back. A
// finished list that was empty wakes the shard through an eventfd the reactor watches. Owner: the
// shard, which destroys the disk before its reactor and only when nothing is in flight.
// Cross-thread: the two work queues and the finished list, each behind its own short lock; an
// operation belongs to the shard, then to one helper, then to the shard again.
#pragma once

#include "storage/io/file_disk.h"
#include "storage/io/reactor.h"

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace millrace {

class ThreadDisk final : public FileDisk, private Watcher {
 public:
  // `root` is an existing directory. `reactor` outlives the disk.
  static Result<std::unique_ptr<ThreadDisk>> create(Reactor& reactor, const std::string& root);
  ~ThreadDisk() override;

  std::size_t reap() override;

 private:
  // Operations that wait for a helper.
  struct Queue {
    std::mutex mutex;
    std::condition_variable changed;
    IntrusiveList<Operation> waiting;
    bool is_stopping = false;
  };

  ThreadDisk(Reactor& reactor, DiskRoot root) : FileDisk(std::move(root)), reactor_(reactor) {}
  Result<void> start_helpers();
  void on_readable() override {}  // the turn reaps after every wait

  std::unique_ptr<Operation> make_operation() override { return std::make_unique<Operation>(); }
  void begin(Operation& operation) override;

  // On a helper's thread.
  void help(Queue& queue);
  void finish(Operation& operation);
  IoResult carry_out(Operation& operation);
  IoResult carry_out_open(Operation& operation);
  IoResult carry_out_read(Operation& operation);
  IoResult carry_out_write(Operation& operation);
  IoResult carry_out_preallocate(Operation& operation);
  IoResult carry_out_on_name(Operation& operation);
  IoResult carry_out_rename(Operation& operation);
  IoResult carry_out_sync_directory(Operation& operation);
  static IoResult outcome(const Operation& operation, int result);

  Reactor& reactor_;
  Queue reads_;
  Queue changes_;
  OwnedDescriptor wake_;
  std::mutex finished_mutex_;
  IntrusiveList<Operation> finished_;
  bool is_awake_ = false;  // under finished_mutex_: wake_ was written and not yet read
  std::vector<std::thread> helpers_;
};

}  // namespace millrace
