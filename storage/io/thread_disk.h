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

#include "storage/base/intrusive_list.h"
#include "storage/io/disk.h"
#include "storage/io/disk_files.h"
#include "storage/io/reactor.h"

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace millrace {

class ThreadDisk final : public Disk, private Watcher {
 public:
  // `root` is an existing directory. `reactor` outlives the disk.
  static Result<std::unique_ptr<ThreadDisk>> create(Reactor& reactor, const std::string& root);
  ThreadDisk(const ThreadDisk&) = delete;
  ThreadDisk& operator=(const ThreadDisk&) = delete;
  ~ThreadDisk() override;

  void open(Completion& done, std::string_view path, OpenMode mode, Access access) override;
  void close(Completion& done, FileId file) override;
  void read(Completion& done, FileId file, Position at, MutableBytes into) override;
  void write(Completion& done, FileId file, Position at, std::span<const ByteView> slices,
             WriteSync sync) override;
  void sync_data(Completion& done, FileId file) override;
  void set_length(Completion& done, FileId file, std::uint64_t length) override;
  void preallocate(Completion& done, FileId file, Position at, std::uint64_t length) override;
  void file_size(Completion& done, FileId file) override;

  void make_directory(Completion& done, std::string_view path) override;
  void remove_directory(Completion& done, std::string_view path) override;
  void remove(Completion& done, std::string_view path) override;
  void rename(Completion& done, std::string_view from, std::string_view to) override;
  void sync_directory(Completion& done, std::string_view path) override;
  void list(Completion& done, std::string_view path, std::vector<DirectoryEntry>& out) override;

  std::size_t reap() override;
  std::size_t in_flight() const override { return in_flight_; }
  Result<Space> space() override { return root_.space(); }

 private:
  struct Operation;
  // Operations that wait for a helper.
  struct Queue {
    std::mutex mutex;
    std::condition_variable changed;
    IntrusiveList<Operation> waiting;
    bool is_stopping = false;
  };

  ThreadDisk(Reactor& reactor, DiskRoot root);
  Result<void> start_helpers();
  void on_readable() override {}  // the turn reaps after every wait

  Operation& start(Completion& done, DiskCall call);
  Operation& start_on_file(Completion& done, DiskCall call, FileId file);
  void enqueue(Operation& operation);
  void deliver(Operation& operation);

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
  IoResult outcome(const Operation& operation, int result);

  Reactor& reactor_;
  const DiskRoot root_;
  FileTable files_;
  std::size_t in_flight_ = 0;
  std::atomic<bool> direct_works_{true};
  std::atomic<bool> synced_write_works_{true};
  std::vector<std::unique_ptr<Operation>> operations_;
  IntrusiveList<Operation> free_;  // of operations_: unused

  Queue reads_;
  Queue changes_;
  OwnedDescriptor wake_;
  std::mutex finished_mutex_;
  IntrusiveList<Operation> finished_;
  bool is_awake_ = false;  // under finished_mutex_: wake_ was written and not yet read
  std::vector<std::thread> helpers_;
};

}  // namespace millrace
