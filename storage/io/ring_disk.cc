#include "storage/io/ring_disk.h"

#include "storage/base/check.h"
#include "storage/base/diag.h"
#include "storage/io/errno_map.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <liburing.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace millrace {
namespace {

constexpr mode_t new_directory_mode = 0700;
// One request's length is 32 bits wide; longer reads go in pieces.
constexpr std::size_t read_piece_max = std::size_t{1} << 30;

}  // namespace

// One call of Disk from its start to its callback. Everything the kernel looks at while it runs
// lives here.
struct RingDisk::Operation final : RingRequest, ListLink {
  explicit Operation(RingDisk& owner) : disk(owner) {}
  void on_result(int kernel_result) override { disk.on_result(*this, kernel_result); }

  RingDisk& disk;
  DiskCall call = DiskCall::open;
  Completion* done = nullptr;
  int retries = 0;
  IoResult answer = 0;

  // Of calls on files.
  FileId file;
  int descriptor = -1;
  Position at;
  std::uint64_t length = 0;
  MutableBytes into;
  std::size_t bytes_read = 0;
  WriteProgress progress;
  WriteSync sync = WriteSync::no;
  bool asked_synced = false;  // the last request was a write with RWF_DSYNC
  bool is_syncing = false;    // the write is all there and its fdatasync runs

  // Of calls on names.
  std::string path;
  DiskRoot::Parent from;
  DiskRoot::Parent to;
  OwnedDescriptor directory;
  open_how how{};
  bool fell_back = false;  // from O_DIRECT, which the file system refused
};

Result<std::unique_ptr<RingDisk>> RingDisk::create(Ring& ring, const std::string& root) {
  auto opened = DiskRoot::open(root);
  if (!opened) return fail(opened.error());
  return std::unique_ptr<RingDisk>(new RingDisk(ring, std::move(*opened)));
}

RingDisk::RingDisk(Ring& ring, DiskRoot root) : ring_(ring), root_(std::move(root)) {}

RingDisk::~RingDisk() { CHECK(in_flight_ == 0, "a disk died with I/O in flight"); }

// -- starts

RingDisk::Operation& RingDisk::start(Completion& done, DiskCall call) {
  if (free_.empty()) {
    operations_.push_back(std::make_unique<Operation>(*this));
    free_.push_back(*operations_.back());
  }
  Operation& operation = free_.pop_front();
  operation.call = call;
  operation.done = &done;
  operation.retries = 0;
  operation.file = FileId{};
  operation.is_syncing = false;
  operation.fell_back = false;
  operation.bytes_read = 0;
  done.start();
  ++in_flight_;
  return operation;
}

RingDisk::Operation& RingDisk::start_on_file(Completion& done, DiskCall call, FileId file) {
  OpenFile& target = files_.at(file);
  Operation& operation = start(done, call);
  ++target.in_flight;
  operation.file = file;
  operation.descriptor = target.descriptor;
  return operation;
}

// Null: the path was refused and the operation is finished already.
RingDisk::Operation* RingDisk::start_on_name(Completion& done, DiskCall call,
                                             std::string_view path) {
  Operation& operation = start(done, call);
  operation.path = path;
  auto parent = root_.open_parent(path);
  if (!parent) {
    finish(operation, fail(parent.error()));
    return nullptr;
  }
  operation.from = std::move(*parent);
  return &operation;
}

void RingDisk::open(Completion& done, std::string_view path, OpenMode mode, Access access) {
  Operation& operation = start(done, DiskCall::open);
  operation.path = path;
  if (auto good = check_relative_path(path); !good) return finish(operation, fail(good.error()));
  const bool direct = access == Access::direct && direct_works_;
  operation.how = root_.how(open_flags(mode, direct ? Access::direct : Access::buffered));
  submit(operation);
}

void RingDisk::close(Completion& done, FileId file) {
  Operation& operation = start(done, DiskCall::close);
  OpenFile closed = files_.remove(file);
  operation.descriptor = closed.descriptor;
  operation.path = std::move(closed.path);
  submit(operation);
}

void RingDisk::read(Completion& done, FileId file, Position at, MutableBytes into) {
  Operation& operation = start_on_file(done, DiskCall::read, file);
  operation.at = at;
  operation.into = into;
  if (into.empty()) return finish(operation, 0);
  submit(operation);
}

void RingDisk::write(Completion& done, FileId file, Position at, std::span<const ByteView> slices,
                     WriteSync sync) {
  Operation& operation = start_on_file(done, DiskCall::write, file);
  operation.at = at;
  operation.sync = sync;
  operation.progress.start(at, slices, files_.at(file).is_direct);
  if (operation.progress.is_complete()) {
    if (sync == WriteSync::no) return finish(operation, 0);
    operation.is_syncing = true;
  }
  submit(operation);
}

void RingDisk::sync_data(Completion& done, FileId file) {
  submit(start_on_file(done, DiskCall::sync_data, file));
}

void RingDisk::set_length(Completion& done, FileId file, std::uint64_t length) {
  Operation& operation = start_on_file(done, DiskCall::set_length, file);
  const int result =
      retry_transient([&] { return ftruncate(operation.descriptor, static_cast<off_t>(length)); });
  if (result != 0) return finish_errno(operation, errno);
  finish(operation, 0);
}

void RingDisk::preallocate(Completion& done, FileId file, Position at, std::uint64_t length) {
  Operation& operation = start_on_file(done, DiskCall::preallocate, file);
  operation.at = at;
  operation.length = length;
  if (length == 0) return finish(operation, 0);
  submit(operation);
}

void RingDisk::file_size(Completion& done, FileId file) {
  Operation& operation = start_on_file(done, DiskCall::file_size, file);
  struct stat status{};
  if (retry_transient([&] { return fstat(operation.descriptor, &status); }) != 0) {
    return finish_errno(operation, errno);
  }
  finish(operation, static_cast<std::size_t>(status.st_size));
}

void RingDisk::make_directory(Completion& done, std::string_view path) {
  if (Operation* operation = start_on_name(done, DiskCall::make_directory, path))
    submit(*operation);
}

void RingDisk::remove_directory(Completion& done, std::string_view path) {
  if (Operation* operation = start_on_name(done, DiskCall::remove_directory, path))
    submit(*operation);
}

void RingDisk::remove(Completion& done, std::string_view path) {
  if (Operation* operation = start_on_name(done, DiskCall::remove, path)) submit(*operation);
}

void RingDisk::rename(Completion& done, std::string_view from, std::string_view to) {
  Operation* operation = start_on_name(done, DiskCall::rename, from);
  if (operation == nullptr) return;
  operation->path += " to ";
  operation->path += to;
  auto parent = root_.open_parent(to);
  if (!parent) return finish(*operation, fail(parent.error()));
  operation->to = std::move(*parent);
  submit(*operation);
}

void RingDisk::sync_directory(Completion& done, std::string_view path) {
  Operation& operation = start(done, DiskCall::sync_directory);
  operation.path = path;
  if (auto good = check_relative_path(path); !good) return finish(operation, fail(good.error()));
  operation.directory = OwnedDescriptor(retry_transient([&] {
    return root_.open_below(operation.path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  }));
  if (!operation.directory.is_open()) return finish_errno(operation, errno);
  submit(operation);
}

void RingDisk::list(Completion& done, std::string_view path, std::vector<DirectoryEntry>& out) {
  Operation& operation = start(done, DiskCall::list);
  operation.path = path;
  if (auto good = check_relative_path(path); !good) return finish(operation, fail(good.error()));
  auto listed = root_.list(operation.path, out);
  if (!listed) return finish(operation, fail(listed.error()));
  finish(operation, out.size());
}

// -- into the ring

void RingDisk::submit(Operation& operation) {
  io_uring_sqe* sqe = waiting_.empty() ? ring_.prepare(operation) : nullptr;
  if (sqe == nullptr) return waiting_.push_back(operation);
  fill(operation, sqe);
}

void RingDisk::submit_waiting() {
  while (!waiting_.empty()) {
    io_uring_sqe* sqe = ring_.prepare(waiting_.front());
    if (sqe == nullptr) return;
    fill(waiting_.pop_front(), sqe);
  }
}

void RingDisk::fill(Operation& operation, io_uring_sqe* sqe) {
  switch (operation.call) {
    case DiskCall::open:
      return io_uring_prep_openat2(sqe, root_.descriptor(), operation.path.c_str(), &operation.how);
    case DiskCall::close: return io_uring_prep_close(sqe, operation.descriptor);
    case DiskCall::read: {
      const MutableBytes rest = operation.into.subspan(operation.bytes_read);
      const auto piece = static_cast<unsigned>(std::min(rest.size(), read_piece_max));
      return io_uring_prep_read(sqe, operation.descriptor, rest.data(), piece,
                                operation.at.value + operation.bytes_read);
    }
    case DiskCall::write: {
      if (operation.is_syncing)
        return io_uring_prep_fsync(sqe, operation.descriptor, IORING_FSYNC_DATASYNC);
      const auto slices = operation.progress.remaining();
      operation.asked_synced = operation.sync == WriteSync::yes && synced_write_works_;
      return io_uring_prep_writev2(
          sqe, operation.descriptor, slices.data(), static_cast<unsigned>(slices.size()),
          operation.progress.position(), operation.asked_synced ? RWF_DSYNC : 0);
    }
    case DiskCall::sync_data:
      return io_uring_prep_fsync(sqe, operation.descriptor, IORING_FSYNC_DATASYNC);
    case DiskCall::preallocate:
      return io_uring_prep_fallocate(sqe, operation.descriptor, 0,
                                     static_cast<off_t>(operation.at.value),
                                     static_cast<off_t>(operation.length));
    case DiskCall::make_directory:
      return io_uring_prep_mkdirat(sqe, operation.from.directory.get(), operation.from.name.c_str(),
                                   new_directory_mode);
    case DiskCall::remove_directory:
      return io_uring_prep_unlinkat(sqe, operation.from.directory.get(),
                                    operation.from.name.c_str(), AT_REMOVEDIR);
    case DiskCall::remove:
      return io_uring_prep_unlinkat(sqe, operation.from.directory.get(),
                                    operation.from.name.c_str(), 0);
    case DiskCall::rename:
      return io_uring_prep_renameat(sqe, operation.from.directory.get(),
                                    operation.from.name.c_str(), operation.to.directory.get(),
                                    operation.to.name.c_str(), 0);
    case DiskCall::sync_directory: return io_uring_prep_fsync(sqe, operation.directory.get(), 0);
    case DiskCall::set_length:
    case DiskCall::file_size:
    case DiskCall::list: break;
  }
  UNREACHABLE("a plain call has no request");
}

// -- out of the ring

void RingDisk::on_result(Operation& operation, int result) {
  // The descriptor of a close is gone whatever the answer; a second try could close somebody
  // else's.
  const bool may_retry = operation.call != DiskCall::close;
  if (result < 0 && may_retry && errno_is_transient(-result) &&
      operation.retries < transient_retries_max) {
    ++operation.retries;
    return submit(operation);
  }
  switch (operation.call) {
    case DiskCall::open: return on_opened(operation, result);
    case DiskCall::read: return on_read(operation, result);
    case DiskCall::write: return on_written(operation, result);
    case DiskCall::preallocate: return on_preallocated(operation, result);
    case DiskCall::close:
      if (result == -EINTR) result = 0;
      break;
    default: break;
  }
  if (result < 0) return finish_errno(operation, -result);
  finish(operation, 0);
}

void RingDisk::on_opened(Operation& operation, int result) {
  const int flags = static_cast<int>(operation.how.flags);
  if (result == -EINVAL && (flags & O_DIRECT) != 0) {
    operation.how.flags = static_cast<std::uint64_t>(without_direct(flags));
    operation.fell_back = true;
    return submit(operation);
  }
  if (result < 0) return finish_errno(operation, -result);
  OwnedDescriptor opened(result);
  if (const int error = settle_opened(opened.get()); error == EINVAL) {
    return finish(operation, fail(Errc::storage_error,
                                  fmt::format("open {}: not a regular file", operation.path)));
  } else if (error != 0) {
    return finish_errno(operation, error);
  }
  if (operation.fell_back && direct_works_) {
    direct_works_ = false;
    warn_no_direct(root_.path());
  }
  finish(operation, static_cast<std::size_t>(opened.release()));
}

void RingDisk::on_read(Operation& operation, int result) {
  if (result < 0) return finish_errno(operation, -result);
  const auto bytes = static_cast<std::size_t>(result);
  operation.bytes_read += bytes;
  const bool is_end =
      bytes == 0 || (files_.at(operation.file).is_direct && bytes % direct_alignment != 0);
  if (!is_end && operation.bytes_read < operation.into.size()) return submit(operation);
  finish(operation, operation.bytes_read);
}

void RingDisk::on_written(Operation& operation, int result) {
  if (operation.is_syncing) {
    // Final, whatever the reason: the kernel forgets which pages it could not write (ST-15).
    if (result < 0) return finish_errno(operation, -result);
    return finish(operation, operation.progress.total());
  }
  if (result == -EOPNOTSUPP && operation.asked_synced) {
    synced_write_works_ = false;
    return submit(operation);
  }
  if (result < 0) return finish_errno(operation, -result);
  if (!operation.progress.advance(static_cast<std::size_t>(result)) &&
      ++operation.retries > transient_retries_max) {
    return finish(
        operation,
        fail(Errc::storage_error,
             fmt::format("write {} at {}: the system wrote nothing of {} bytes, again and again",
                         files_.at(operation.file).path, operation.progress.position(),
                         operation.progress.total())));
  }
  if (!operation.progress.is_complete()) return submit(operation);
  // Only now is the full length there, so only now may a sync that covers it start (ST-18).
  const bool needs_sync = operation.sync == WriteSync::yes &&
                          (operation.progress.was_continued() || !operation.asked_synced);
  if (!needs_sync) return finish(operation, operation.progress.total());
  operation.is_syncing = true;
  operation.retries = 0;
  submit(operation);
}

void RingDisk::on_preallocated(Operation& operation, int result) {
  if (result == -EOPNOTSUPP) {
    const auto end = static_cast<off_t>(operation.at.value + operation.length);
    struct stat status{};
    if (fstat(operation.descriptor, &status) != 0) return finish_errno(operation, errno);
    const bool is_short = status.st_size < end;
    if (is_short && retry_transient([&] { return ftruncate(operation.descriptor, end); }) != 0) {
      return finish_errno(operation, errno);
    }
    result = 0;
  }
  if (result < 0) return finish_errno(operation, -result);
  finish(operation, 0);
}

// -- back to the caller

void RingDisk::finish_errno(Operation& operation, int error) {
  const bool on_file = operation.file.is_open();
  std::string what = on_file ? files_.at(operation.file).path : operation.path;
  if (operation.call == DiskCall::read)
    what += fmt::format(" at {}", operation.at.value + operation.bytes_read);
  if (operation.call == DiskCall::write)
    what += fmt::format(" at {}", operation.progress.position());
  const DiskCall call = operation.is_syncing ? DiskCall::sync_data : operation.call;
  finish(operation, fail(error_from_errno(error, disk_call_name(call), what)));
}

void RingDisk::finish(Operation& operation, IoResult result) {
  operation.answer = std::move(result);
  ready_.push_back(operation);
  ++ready_count_;
  ring_.add_undelivered(1);
}

std::size_t RingDisk::reap() {
  // Normally wait_until has just entered the kernel; a caller who only reaps must get there too.
  if (ring_.waits() == waits_seen_) ring_.submit_and_collect();
  waits_seen_ = ring_.waits();
  submit_waiting();
  // Only what is ready now: a handler that starts calls which finish at once must not keep the turn
  // here.
  const std::size_t count = ready_count_;
  for (std::size_t i = 0; i < count; ++i) deliver(ready_.pop_front());
  return count;
}

void RingDisk::deliver(Operation& operation) {
  --ready_count_;
  --in_flight_;
  ring_.remove_undelivered(1);
  if (operation.file.is_open()) --files_.at(operation.file).in_flight;
  if (operation.call == DiskCall::open && operation.answer) {
    const bool is_direct = (operation.how.flags & O_DIRECT) != 0;
    const auto descriptor = static_cast<int>(*operation.answer);
    operation.answer =
        static_cast<std::size_t>(files_.add(descriptor, operation.path, is_direct).value);
  }
  operation.directory.reset();
  operation.from.directory.reset();
  operation.to.directory.reset();
  Completion& done = *operation.done;
  IoResult result = std::move(operation.answer);
  operation.answer = 0;
  free_.push_back(operation);
  done.finish(std::move(result));
}

}  // namespace millrace
