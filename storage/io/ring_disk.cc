#include "storage/io/ring_disk.h"

#include "storage/base/check.h"
#include "storage/io/errno_map.h"

#include <fcntl.h>
#include <liburing.h>
#include <linux/openat2.h>

#include <algorithm>
#include <cerrno>

namespace millrace {
namespace {

constexpr mode_t new_directory_mode = 0700;
// One request's length is 32 bits wide; longer reads go in pieces.
constexpr std::size_t read_piece_max = std::size_t{1} << 30;

}  // namespace

// An operation as the ring knows it.
struct RingDisk::Request final : Operation, RingRequest {
  explicit Request(RingDisk& owner) : disk(owner) {}
  void on_result(int kernel_result) override { disk.on_result(*this, kernel_result); }

  RingDisk& disk;
  int retries = 0;
  bool asked_synced = false;  // the last request was a write with RWF_DSYNC

  // Of calls on names.
  DiskRoot::Parent from_parent;
  DiskRoot::Parent to_parent;
  OwnedDescriptor directory;
  open_how how{};
  bool fell_back = false;  // from O_DIRECT, which the file system refused
};

Result<std::unique_ptr<RingDisk>> RingDisk::create(Ring& ring, const std::string& root) {
  auto opened = DiskRoot::open(root);
  if (!opened) return fail(opened.error());
  return std::unique_ptr<RingDisk>(new RingDisk(ring, std::move(*opened)));
}

RingDisk::RingDisk(Ring& ring, DiskRoot root) : FileDisk(std::move(root)), ring_(ring) {}

RingDisk::~RingDisk() = default;

std::unique_ptr<FileDisk::Operation> RingDisk::make_operation() {
  return std::make_unique<Request>(*this);
}

// -- into the ring

void RingDisk::begin(Operation& operation) {
  auto& request = static_cast<Request&>(operation);
  request.retries = 0;
  switch (request.call) {
    // io_uring has nothing for these.
    case DiskCall::set_length:
    case DiskCall::file_size:
    case DiskCall::list: return finish(request, call_plainly(request));

    case DiskCall::read:
      if (request.into.empty()) return finish(request, 0);
      break;
    case DiskCall::write:
      if (!request.progress.is_complete()) break;  // else there is nothing to write
      if (request.sync == WriteSync::no) return finish(request, 0);
      request.is_syncing = true;
      break;
    case DiskCall::preallocate:
      if (request.length == 0) return finish(request, 0);
      break;
    case DiskCall::close:
    case DiskCall::sync_data: break;

    case DiskCall::open:
    case DiskCall::make_directory:
    case DiskCall::remove_directory:
    case DiskCall::remove:
    case DiskCall::rename:
    case DiskCall::sync_directory:
      if (auto found = resolve_names(request); !found) return finish(request, fail(found.error()));
      break;
  }
  submit(request);
}

// What the kernel is given instead of the paths, so that nothing leaves the root.
Result<void> RingDisk::resolve_names(Request& request) const {
  const auto find = [&](const std::string& path, DiskRoot::Parent& out) -> Result<void> {
    auto parent = root().open_parent(path);
    if (!parent) return fail(parent.error());
    out = std::move(*parent);
    return {};
  };
  if (auto good = check_relative_path(request.path); !good) return good;
  switch (request.call) {
    case DiskCall::open: {
      const Access access = request.is_direct ? Access::direct : Access::buffered;
      request.how = root().how(open_flags(request.mode, access));
      request.fell_back = false;
      return {};
    }
    case DiskCall::sync_directory:
      request.directory = OwnedDescriptor(retry_transient([&] {
        return root().open_below(request.path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
      }));
      if (!request.directory.is_open()) return request.refused(errno);
      return {};
    default: break;
  }
  auto found = find(request.path, request.from_parent);
  if (!found || request.call != DiskCall::rename) return found;
  return find(request.to, request.to_parent);
}

void RingDisk::submit(Request& request) {
  io_uring_sqe* sqe = waiting_.empty() ? ring_.prepare(request) : nullptr;
  if (sqe == nullptr) return waiting_.push_back(request);
  fill(request, sqe);
}

void RingDisk::submit_waiting() {
  while (!waiting_.empty()) {
    io_uring_sqe* sqe = ring_.prepare(waiting_.front());
    if (sqe == nullptr) return;
    fill(waiting_.pop_front(), sqe);
  }
}

void RingDisk::fill(Request& request, io_uring_sqe* sqe) {
  const int from = request.from_parent.directory.get();
  const char* name = request.from_parent.name.c_str();
  switch (request.call) {
    case DiskCall::open:
      return io_uring_prep_openat2(sqe, root().descriptor(), request.path.c_str(), &request.how);
    case DiskCall::close: return io_uring_prep_close(sqe, request.descriptor);
    case DiskCall::read: {
      const MutableBytes rest = request.into.subspan(request.bytes_read);
      const auto piece = static_cast<unsigned>(std::min(rest.size(), read_piece_max));
      return io_uring_prep_read(sqe, request.descriptor, rest.data(), piece,
                                request.at.value + request.bytes_read);
    }
    case DiskCall::write: return fill_write(request, sqe);
    case DiskCall::sync_data:
      return io_uring_prep_fsync(sqe, request.descriptor, IORING_FSYNC_DATASYNC);
    case DiskCall::preallocate:
      return io_uring_prep_fallocate(sqe, request.descriptor, 0,
                                     static_cast<off_t>(request.at.value),
                                     static_cast<off_t>(request.length));
    case DiskCall::make_directory:
      return io_uring_prep_mkdirat(sqe, from, name, new_directory_mode);
    case DiskCall::remove_directory: return io_uring_prep_unlinkat(sqe, from, name, AT_REMOVEDIR);
    case DiskCall::remove: return io_uring_prep_unlinkat(sqe, from, name, 0);
    case DiskCall::rename:
      return io_uring_prep_renameat(sqe, from, name, request.to_parent.directory.get(),
                                    request.to_parent.name.c_str(), 0);
    case DiskCall::sync_directory: return io_uring_prep_fsync(sqe, request.directory.get(), 0);
    case DiskCall::set_length:
    case DiskCall::file_size:
    case DiskCall::list: break;
  }
  UNREACHABLE("a plain call has no request");
}

void RingDisk::fill_write(Request& request, io_uring_sqe* sqe) {
  if (request.is_syncing)
    return io_uring_prep_fsync(sqe, request.descriptor, IORING_FSYNC_DATASYNC);
  const auto slices = request.progress.remaining();
  request.asked_synced = request.sync == WriteSync::yes && synced_write_works_;
  io_uring_prep_writev2(sqe, request.descriptor, slices.data(),
                        static_cast<unsigned>(slices.size()), request.progress.position(),
                        request.asked_synced ? RWF_DSYNC : 0);
}

// -- out of the ring

void RingDisk::on_result(Request& request, int result) {
  // The descriptor of a close is gone whatever the answer; a second try could close somebody
  // else's.
  const bool may_retry = request.call != DiskCall::close;
  if (result < 0 && may_retry && errno_is_transient(-result) &&
      request.retries < transient_retries_max) {
    ++request.retries;
    return submit(request);
  }
  switch (request.call) {
    case DiskCall::open: return on_opened(request, result);
    case DiskCall::read: return on_read(request, result);
    case DiskCall::write: return on_written(request, result);
    case DiskCall::preallocate:
      if (result == -EOPNOTSUPP) return finish(request, extend_with_hole(request));
      break;
    case DiskCall::close:
      if (result == -EINTR) result = 0;
      break;
    default: break;
  }
  if (result < 0) return finish(request, request.refused(-result));
  finish(request, 0);
}

void RingDisk::on_opened(Request& request, int result) {
  if (result == -EINVAL && request.is_direct) {
    request.how.flags =
        static_cast<std::uint64_t>(without_direct(static_cast<int>(request.how.flags)));
    request.is_direct = false;
    request.fell_back = true;
    return submit(request);
  }
  if (result < 0) return finish(request, request.refused(-result));
  IoResult answer = opened(request, result);
  if (answer && request.fell_back) note_no_direct();
  finish(request, std::move(answer));
}

void RingDisk::on_read(Request& request, int result) {
  if (result < 0) return finish(request, request.refused(-result));
  const auto bytes = static_cast<std::size_t>(result);
  request.bytes_read += bytes;
  const bool is_end = bytes == 0 || (request.is_direct && bytes % direct_alignment != 0);
  if (!is_end && request.bytes_read < request.into.size()) return submit(request);
  finish(request, request.bytes_read);
}

void RingDisk::on_written(Request& request, int result) {
  if (request.is_syncing) {
    // Final, whatever the reason: the kernel forgets which pages it could not write (ST-15).
    if (result < 0) return finish(request, request.refused(-result));
    return finish(request, request.progress.total());
  }
  if (result == -EOPNOTSUPP && request.asked_synced) {
    synced_write_works_ = false;
    return submit(request);
  }
  if (result < 0) return finish(request, request.refused(-result));
  if (!request.progress.advance(static_cast<std::size_t>(result)) &&
      ++request.retries > transient_retries_max)
    return finish(request, request.stands_still());
  if (!request.progress.is_complete()) return submit(request);
  // Only now is the full length there, so only now may a sync that covers it start (ST-18).
  const bool needs_sync =
      request.sync == WriteSync::yes && (request.progress.was_continued() || !request.asked_synced);
  if (!needs_sync) return finish(request, request.progress.total());
  request.is_syncing = true;
  request.retries = 0;
  submit(request);
}

// -- back to the caller

void RingDisk::finish(Request& request, IoResult result) {
  request.answer = std::move(result);
  request.directory.reset();
  request.from_parent.directory.reset();
  request.to_parent.directory.reset();
  ready_.push_back(request);
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
  for (std::size_t i = 0; i < count; ++i) {
    --ready_count_;
    ring_.remove_undelivered(1);
    deliver(ready_.pop_front());
  }
  return count;
}

}  // namespace millrace
