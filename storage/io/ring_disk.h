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

#include "storage/base/intrusive_list.h"
#include "storage/io/disk.h"
#include "storage/io/disk_files.h"
#include "storage/io/ring.h"

#include <memory>
#include <string>
#include <vector>

namespace millrace {

class RingDisk final : public Disk {
 public:
  // `root` is an existing directory. `ring` outlives the disk.
  static Result<std::unique_ptr<RingDisk>> create(Ring& ring, const std::string& root);
  RingDisk(const RingDisk&) = delete;
  RingDisk& operator=(const RingDisk&) = delete;
  ~RingDisk() override;

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

  RingDisk(Ring& ring, DiskRoot root);

  // The trip of one operation: start, submit, (kernel), on_result, finish, (reap) deliver.
  Operation& start(Completion& done, DiskCall call);
  Operation& start_on_file(Completion& done, DiskCall call, FileId file);
  Operation* start_on_name(Completion& done, DiskCall call, std::string_view path);
  void submit(Operation& operation);
  void submit_waiting();
  void fill(Operation& operation, io_uring_sqe* sqe);
  void on_result(Operation& operation, int result);
  void on_opened(Operation& operation, int result);
  void on_read(Operation& operation, int result);
  void on_written(Operation& operation, int result);
  void on_preallocated(Operation& operation, int result);
  void finish(Operation& operation, IoResult result);
  void finish_errno(Operation& operation, int error);
  void deliver(Operation& operation);

  Ring& ring_;
  DiskRoot root_;
  FileTable files_;
  bool direct_works_ = true;
  bool synced_write_works_ = true;
  std::size_t in_flight_ = 0;
  std::size_t ready_count_ = 0;
  std::uint64_t waits_seen_ = 0;
  std::vector<std::unique_ptr<Operation>> operations_;
  IntrusiveList<Operation> free_;     // of operations_: unused
  IntrusiveList<Operation> waiting_;  // started, no place in the ring yet
  IntrusiveList<Operation> ready_;    // finished, to be called back by reap
};

}  // namespace millrace
