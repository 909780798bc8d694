// What the two disks over real files share: a call's trip from its start to its callback. How it is
// carried out in between is the disk's own.
//
//   the caller   open(), read(), ... -> begin()          the call's arguments, in an Operation
//   the disk     begin() ... the system ... `answer`     ring_disk, thread_disk
//   the turn     reap() -> deliver() -> the Completion
//
// Thread: the shard's. What begin() hands on may be carried out by another thread, which then calls
// the Operation's own functions, call_plainly(), extend_with_hole(), opened() and note_no_direct(),
// and touches nothing else. Memory: operations are pooled; a steady state allocates nothing per
// I/O. Always: an operation is counted in in_flight() from its start until its callback begins; a
// file is closed only when nothing is in flight on it.
#pragma once

#include "storage/base/intrusive_list.h"
#include "storage/io/disk.h"
#include "storage/io/disk_files.h"

#include <atomic>
#include <memory>
#include <string>
#include <vector>

namespace millrace {

class FileDisk : public Disk {
 public:
  FileDisk(const FileDisk&) = delete;
  FileDisk& operator=(const FileDisk&) = delete;
  // Nothing may be in flight.
  ~FileDisk() override;

  void open(Completion& done, std::string_view path, OpenMode mode, Access access) final;
  void close(Completion& done, FileId file) final;
  void read(Completion& done, FileId file, Position at, MutableBytes into) final;
  void write(Completion& done, FileId file, Position at, std::span<const ByteView> slices,
             WriteSync sync) final;
  void sync_data(Completion& done, FileId file) final;
  void set_length(Completion& done, FileId file, std::uint64_t length) final;
  void preallocate(Completion& done, FileId file, Position at, std::uint64_t length) final;
  void file_size(Completion& done, FileId file) final;

  void make_directory(Completion& done, std::string_view path) final;
  void remove_directory(Completion& done, std::string_view path) final;
  void remove(Completion& done, std::string_view path) final;
  void rename(Completion& done, std::string_view from, std::string_view to) final;
  void sync_directory(Completion& done, std::string_view path) final;
  void list(Completion& done, std::string_view path, std::vector<DirectoryEntry>& out) final;

  std::size_t in_flight() const final { return in_flight_; }
  Result<Space> space() final { return root_.space(); }

 protected:
  // One call of Disk, with its arguments and how far it has got. Everything the system looks at
  // while it runs lives here.
  struct Operation : ListLink {
    virtual ~Operation() = default;
    // The answer when the system refused it.
    std::unexpected<Error> refused(int error_number) const;
    // The answer when the system takes nothing of a write and does not say why.
    std::unexpected<Error> stands_still() const;

    DiskCall call = DiskCall::open;
    Completion* done = nullptr;
    IoResult answer = 0;

    std::string path;  // as given, or the file's
    std::string to;
    OpenMode mode = OpenMode::read;
    bool is_direct = false;
    std::vector<DirectoryEntry>* entries = nullptr;

    FileId file;  // of calls on files, but for close
    int descriptor = -1;
    Position at;
    std::uint64_t length = 0;
    MutableBytes into;
    std::size_t bytes_read = 0;
    WriteProgress progress;
    WriteSync sync = WriteSync::no;
    bool is_syncing = false;  // the write is all there and its fdatasync runs
  };

  explicit FileDisk(DiskRoot root) : root_(std::move(root)) {}

  virtual std::unique_ptr<Operation> make_operation() = 0;
  // Takes a call on its way; it is delivered by a later reap.
  virtual void begin(Operation& operation) = 0;
  // Counts it as ended, makes a FileId of what was opened, and calls back. The operation may be
  // another call's when this returns.
  void deliver(Operation& operation);

  const DiskRoot& root() const { return root_; }
  // set_length, file_size and list, blocking.
  IoResult call_plainly(Operation& operation) const;
  // preallocate where the file system cannot: the file is extended with a hole. Blocking.
  static IoResult extend_with_hole(const Operation& operation);
  // The answer of an open that gave this descriptor, which is closed if it is no regular file.
  IoResult opened(const Operation& operation, int descriptor) const;
  // The file system refused O_DIRECT: later files are opened buffered.
  void note_no_direct();

  // Whether the file system takes a write with RWF_DSYNC.
  std::atomic<bool> synced_write_works_{true};

 private:
  Operation& start(Completion& done, DiskCall call);
  Operation& start_on_file(Completion& done, DiskCall call, FileId file);
  Operation& start_on_name(Completion& done, DiskCall call, std::string_view path);

  const DiskRoot root_;
  FileTable files_;
  std::atomic<bool> direct_works_{true};
  std::size_t in_flight_ = 0;
  std::vector<std::unique_ptr<Operation>> operations_;
  IntrusiveList<Operation> free_;  // of operations_: unused
};

}  // namespace millrace
