// Disk over the ring: every call becomes one request where io_uring has an operation for it. A
// synced write of a direct file is one request (a vectored write with RWF_DSYNC); nothing is
// submitted before the reactor's wait_until or reap.
//
// Calls that io_uring lacks (list, truncate, size) are made when they are started, and called back
// at the next reap. Owner: the shard, which destroys it before its Ring and only when nothing is in
// flight. Thread: the shard's. Memory: operations are pooled; a steady state allocates nothing per
// I/O. Fails: as disk.h says. Where the file system refuses O_DIRECT, files are opened buffered,
// with one line of diag; where it refuses RWF_DSYNC, a synced write is a write and then, when its
// full length is there, an fdatasync.
#pragma once

#include "storage/io/file_disk.h"
#include "storage/io/ring.h"

#include <memory>
#include <string>

namespace millrace {

class RingDisk final : public FileDisk {
 public:
  // `root` is an existing directory. `ring` outlives the disk.
  static Result<std::unique_ptr<RingDisk>> create(Ring& ring, const std::string& root);
  ~RingDisk() override;

  std::size_t reap() override;

 private:
  struct Request;

  RingDisk(Ring& ring, DiskRoot root);
  std::unique_ptr<Operation> make_operation() override;

  // The trip of one request: begin, submit, (kernel), on_result, finish, (reap) deliver.
  void begin(Operation& operation) override;
  Result<void> resolve_names(Request& request) const;
  void submit(Request& request);
  void submit_waiting();
  void fill(Request& request, io_uring_sqe* sqe);
  void fill_write(Request& request, io_uring_sqe* sqe);
  void on_result(Request& request, int result);
  void on_opened(Request& request, int result);
  void on_read(Request& request, int result);
  void on_written(Request& request, int result);
  void finish(Request& request, IoResult result);

  Ring& ring_;
  std::size_t ready_count_ = 0;
  std::uint64_t waits_seen_ = 0;
  IntrusiveList<Request> waiting_;  // begun, no place in the ring yet
  IntrusiveList<Request> ready_;    // finished, to be called back by reap
};

}  // namespace millrace
