#include "storage/io/thread_disk.h"

#include "storage/base/check.h"
#include "storage/io/errno_map.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace millrace {
namespace {

constexpr int read_helpers = 2;
constexpr int change_helpers = 4;
constexpr mode_t new_directory_mode = 0700;

// Signals are for the threads the program knows of.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_{};
};

}  // namespace

Result<std::unique_ptr<ThreadDisk>> ThreadDisk::create(Reactor& reactor, const std::string& root) {
  auto opened = DiskRoot::open(root);
  if (!opened) return fail(opened.error());
  std::unique_ptr<ThreadDisk> disk(new ThreadDisk(reactor, std::move(*opened)));
  if (auto started = disk->start_helpers(); !started) return fail(started.error());
  return disk;
}

Result<void> ThreadDisk::start_helpers() {
  OwnedDescriptor wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake.is_open()) return fail(error_from_errno(errno, "eventfd", "of the disk's threads"));
  if (auto watched = reactor_.watch(wake.get(), *this); !watched) return watched;
  wake_ = std::move(wake);
  const SignalsBlocked blocked;
  try {
    for (int i = 0; i < read_helpers; ++i) helpers_.emplace_back([this] { help(reads_); });
    for (int i = 0; i < change_helpers; ++i) helpers_.emplace_back([this] { help(changes_); });
  } catch (const std::system_error& error) {
    return fail(Errc::storage_error,
                fmt::format("cannot start the disk's threads: {}", error.what()));
  }
  return {};
}

ThreadDisk::~ThreadDisk() {
  for (Queue* queue : {&reads_, &changes_}) {
    const std::lock_guard lock(queue->mutex);
    queue->is_stopping = true;
    queue->changed.notify_all();
  }
  for (std::thread& helper : helpers_) helper.join();
  if (wake_.is_open()) reactor_.unwatch(wake_.get());
}

void ThreadDisk::begin(Operation& operation) {
  const bool only_looks = operation.call == DiskCall::read || operation.call == DiskCall::list ||
                          operation.call == DiskCall::file_size ||
                          (operation.call == DiskCall::open && operation.mode != OpenMode::create);
  Queue& queue = only_looks ? reads_ : changes_;
  const std::lock_guard lock(queue.mutex);
  queue.waiting.push_back(operation);
  queue.changed.notify_one();
}

// -- on a helper's thread

void ThreadDisk::help(Queue& queue) {
  for (;;) {
    std::unique_lock lock(queue.mutex);
    queue.changed.wait(lock, [&] { return queue.is_stopping || !queue.waiting.empty(); });
    if (queue.waiting.empty()) return;
    Operation& operation = queue.waiting.pop_front();
    lock.unlock();
    operation.answer = carry_out(operation);
    finish(operation);
  }
}

void ThreadDisk::finish(Operation& operation) {
  const std::lock_guard lock(finished_mutex_);
  finished_.push_back(operation);
  if (is_awake_) return;
  is_awake_ = true;
  const std::uint64_t one = 1;
  const auto written = retry_transient([&] { return ::write(wake_.get(), &one, sizeof one); });
  CHECK(written == sizeof one, "an eventfd of value 0 takes 1");
}

// Of a system call that answers -1 when it was refused.
IoResult ThreadDisk::outcome(const Operation& operation, int result) {
  if (result < 0) return operation.refused(errno);
  return 0;
}

IoResult ThreadDisk::carry_out(Operation& operation) {
  switch (operation.call) {
    case DiskCall::open: return carry_out_open(operation);
    case DiskCall::close: {
      // Never again: the descriptor is gone whatever the answer.
      const int result = ::close(operation.descriptor);
      return outcome(operation, errno == EINTR ? 0 : result);
    }
    case DiskCall::read: return carry_out_read(operation);
    case DiskCall::write: return carry_out_write(operation);
    case DiskCall::sync_data:
      return outcome(operation, retry_transient([&] { return fdatasync(operation.descriptor); }));
    case DiskCall::preallocate: return carry_out_preallocate(operation);
    case DiskCall::set_length:
    case DiskCall::file_size:
    case DiskCall::list: return call_plainly(operation);
    case DiskCall::make_directory:
    case DiskCall::remove_directory:
    case DiskCall::remove: return carry_out_on_name(operation);
    case DiskCall::rename: return carry_out_rename(operation);
    case DiskCall::sync_directory: return carry_out_sync_directory(operation);
  }
  UNREACHABLE("a call that nobody carries out");
}

IoResult ThreadDisk::carry_out_open(Operation& operation) {
  if (auto good = check_relative_path(operation.path); !good) return fail(good.error());
  int flags = open_flags(operation.mode, operation.is_direct ? Access::direct : Access::buffered);
  const auto open_it = [&] {
    return retry_transient([&] { return root().open_below(operation.path.c_str(), flags); });
  };
  int descriptor = open_it();
  if (descriptor < 0 && errno == EINVAL && operation.is_direct) {
    operation.is_direct = false;
    flags = without_direct(flags);
    descriptor = open_it();
    if (descriptor >= 0) note_no_direct();
  }
  if (descriptor < 0) return operation.refused(errno);
  return opened(operation, descriptor);
}

IoResult ThreadDisk::carry_out_read(Operation& operation) {
  while (operation.bytes_read < operation.into.size()) {
    const MutableBytes rest = operation.into.subspan(operation.bytes_read);
    const auto position = static_cast<off_t>(operation.at.value + operation.bytes_read);
    const ssize_t result = retry_transient(
        [&] { return pread(operation.descriptor, rest.data(), rest.size(), position); });
    if (result < 0) return operation.refused(errno);
    const auto bytes = static_cast<std::size_t>(result);
    operation.bytes_read += bytes;
    if (bytes == 0 || (operation.is_direct && bytes % direct_alignment != 0)) break;
  }
  return operation.bytes_read;
}

IoResult ThreadDisk::carry_out_write(Operation& operation) {
  WriteProgress& progress = operation.progress;
  bool asked_synced = operation.sync == WriteSync::yes && synced_write_works_;
  int standstills = 0;
  while (!progress.is_complete()) {
    const auto slices = progress.remaining();
    const ssize_t result = retry_transient([&] {
      return pwritev2(operation.descriptor, slices.data(), static_cast<int>(slices.size()),
                      static_cast<off_t>(progress.position()), asked_synced ? RWF_DSYNC : 0);
    });
    if (result < 0 && errno == EOPNOTSUPP && asked_synced) {
      asked_synced = false;
      synced_write_works_ = false;
      continue;
    }
    if (result < 0) return operation.refused(errno);
    if (!progress.advance(static_cast<std::size_t>(result)) &&
        ++standstills > transient_retries_max)
      return operation.stands_still();
  }
  // Only now is the full length there, so only now may a sync that covers it start (ST-18).
  const bool is_synced = asked_synced && !progress.was_continued() && progress.total() > 0;
  if (operation.sync == WriteSync::no || is_synced) return progress.total();
  operation.is_syncing = true;
  // Final, whatever the reason: the kernel forgets which pages it could not write (ST-15).
  if (retry_transient([&] { return fdatasync(operation.descriptor); }) != 0)
    return operation.refused(errno);
  return progress.total();
}

IoResult ThreadDisk::carry_out_preallocate(Operation& operation) {
  if (operation.length == 0) return 0;
  const auto at = static_cast<off_t>(operation.at.value);
  const auto length = static_cast<off_t>(operation.length);
  const int result =
      retry_transient([&] { return fallocate(operation.descriptor, 0, at, length); });
  if (result != 0 && errno == EOPNOTSUPP) return extend_with_hole(operation);
  return outcome(operation, result);
}

IoResult ThreadDisk::carry_out_on_name(Operation& operation) {
  auto parent = root().open_parent(operation.path);
  if (!parent) return fail(parent.error());
  const int directory = parent->directory.get();
  const char* name = parent->name.c_str();
  if (operation.call == DiskCall::make_directory) {
    return outcome(operation,
                   retry_transient([&] { return mkdirat(directory, name, new_directory_mode); }));
  }
  const int flags = operation.call == DiskCall::remove_directory ? AT_REMOVEDIR : 0;
  return outcome(operation, retry_transient([&] { return unlinkat(directory, name, flags); }));
}

IoResult ThreadDisk::carry_out_rename(Operation& operation) {
  auto from = root().open_parent(operation.path);
  if (!from) return fail(from.error());
  auto to = root().open_parent(operation.to);
  if (!to) return fail(to.error());
  return outcome(operation, retry_transient([&] {
                   return renameat(from->directory.get(), from->name.c_str(), to->directory.get(),
                                   to->name.c_str());
                 }));
}

IoResult ThreadDisk::carry_out_sync_directory(Operation& operation) {
  if (auto good = check_relative_path(operation.path); !good) return fail(good.error());
  const OwnedDescriptor directory(retry_transient([&] {
    return root().open_below(operation.path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  }));
  if (!directory.is_open()) return operation.refused(errno);
  return outcome(operation, retry_transient([&] { return fsync(directory.get()); }));
}

// -- back to the caller

std::size_t ThreadDisk::reap() {
  IntrusiveList<Operation> ready;
  std::size_t count = 0;
  {
    const std::lock_guard lock(finished_mutex_);
    if (!is_awake_) return 0;
    is_awake_ = false;
    std::uint64_t value = 0;
    (void)!::read(wake_.get(), &value, sizeof value);
    for (; !finished_.empty(); ++count) ready.push_back(finished_.pop_front());
  }
  while (!ready.empty()) deliver(ready.pop_front());
  return count;
}

}  // namespace millrace
