#include "storage/io/thread_disk.h"

#include "storage/base/check.h"
#include "storage/io/errno_map.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
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

// One call of Disk from its start to its callback, arguments and result.
struct ThreadDisk::Operation final : ListLink {
  DiskCall call = DiskCall::open;
  Completion* done = nullptr;
  IoResult result = 0;

  // Of calls on files.
  FileId file;
  int descriptor = -1;
  Position at;
  std::uint64_t length = 0;
  MutableBytes into;
  WriteProgress progress;
  WriteSync sync = WriteSync::no;

  // Of all calls: the path given, or the file's for texts.
  std::string path;
  std::string to;
  OpenMode mode = OpenMode::read;
  bool is_direct = false;
  std::vector<DirectoryEntry>* entries = nullptr;
};

Result<std::unique_ptr<ThreadDisk>> ThreadDisk::create(Reactor& reactor, const std::string& root) {
  auto opened = DiskRoot::open(root);
  if (!opened) return fail(opened.error());
  std::unique_ptr<ThreadDisk> disk(new ThreadDisk(reactor, std::move(*opened)));
  if (auto started = disk->start_helpers(); !started) return fail(started.error());
  return disk;
}

ThreadDisk::ThreadDisk(Reactor& reactor, DiskRoot root)
    : reactor_(reactor), root_(std::move(root)) {}

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
  CHECK(in_flight_ == 0, "a disk died with I/O in flight");
  for (Queue* queue : {&reads_, &changes_}) {
    const std::lock_guard lock(queue->mutex);
    queue->is_stopping = true;
    queue->changed.notify_all();
  }
  for (std::thread& helper : helpers_) helper.join();
  if (wake_.is_open()) reactor_.unwatch(wake_.get());
}

// -- starts

ThreadDisk::Operation& ThreadDisk::start(Completion& done, DiskCall call) {
  if (free_.empty()) {
    operations_.push_back(std::make_unique<Operation>());
    free_.push_back(*operations_.back());
  }
  Operation& operation = free_.pop_front();
  operation.call = call;
  operation.done = &done;
  operation.file = FileId{};
  done.start();
  ++in_flight_;
  return operation;
}

ThreadDisk::Operation& ThreadDisk::start_on_file(Completion& done, DiskCall call, FileId file) {
  OpenFile& target = files_.at(file);
  Operation& operation = start(done, call);
  ++target.in_flight;
  operation.file = file;
  operation.descriptor = target.descriptor;
  operation.is_direct = target.is_direct;
  operation.path = target.path;
  return operation;
}

void ThreadDisk::open(Completion& done, std::string_view path, OpenMode mode, Access access) {
  Operation& operation = start(done, DiskCall::open);
  operation.path = path;
  operation.mode = mode;
  operation.is_direct = access == Access::direct;
  enqueue(operation);
}

void ThreadDisk::close(Completion& done, FileId file) {
  Operation& operation = start(done, DiskCall::close);
  OpenFile closed = files_.remove(file);
  operation.descriptor = closed.descriptor;
  operation.path = std::move(closed.path);
  enqueue(operation);
}

void ThreadDisk::read(Completion& done, FileId file, Position at, MutableBytes into) {
  Operation& operation = start_on_file(done, DiskCall::read, file);
  operation.at = at;
  operation.into = into;
  enqueue(operation);
}

void ThreadDisk::write(Completion& done, FileId file, Position at, std::span<const ByteView> slices,
                       WriteSync sync) {
  Operation& operation = start_on_file(done, DiskCall::write, file);
  operation.at = at;
  operation.sync = sync;
  operation.progress.start(at, slices, operation.is_direct);
  enqueue(operation);
}

void ThreadDisk::sync_data(Completion& done, FileId file) {
  enqueue(start_on_file(done, DiskCall::sync_data, file));
}

void ThreadDisk::set_length(Completion& done, FileId file, std::uint64_t length) {
  Operation& operation = start_on_file(done, DiskCall::set_length, file);
  operation.length = length;
  enqueue(operation);
}

void ThreadDisk::preallocate(Completion& done, FileId file, Position at, std::uint64_t length) {
  Operation& operation = start_on_file(done, DiskCall::preallocate, file);
  operation.at = at;
  operation.length = length;
  enqueue(operation);
}

void ThreadDisk::file_size(Completion& done, FileId file) {
  enqueue(start_on_file(done, DiskCall::file_size, file));
}

void ThreadDisk::make_directory(Completion& done, std::string_view path) {
  Operation& operation = start(done, DiskCall::make_directory);
  operation.path = path;
  enqueue(operation);
}

void ThreadDisk::remove_directory(Completion& done, std::string_view path) {
  Operation& operation = start(done, DiskCall::remove_directory);
  operation.path = path;
  enqueue(operation);
}

void ThreadDisk::remove(Completion& done, std::string_view path) {
  Operation& operation = start(done, DiskCall::remove);
  operation.path = path;
  enqueue(operation);
}

void ThreadDisk::rename(Completion& done, std::string_view from, std::string_view to) {
  Operation& operation = start(done, DiskCall::rename);
  operation.path = from;
  operation.to = to;
  enqueue(operation);
}

void ThreadDisk::sync_directory(Completion& done, std::string_view path) {
  Operation& operation = start(done, DiskCall::sync_directory);
  operation.path = path;
  enqueue(operation);
}

void ThreadDisk::list(Completion& done, std::string_view path, std::vector<DirectoryEntry>& out) {
  Operation& operation = start(done, DiskCall::list);
  operation.path = path;
  operation.entries = &out;
  enqueue(operation);
}

void ThreadDisk::enqueue(Operation& operation) {
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
    operation.result = carry_out(operation);
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
    case DiskCall::set_length:
      return outcome(operation, retry_transient([&] {
                       return ftruncate(operation.descriptor, static_cast<off_t>(operation.length));
                     }));
    case DiskCall::preallocate: return carry_out_preallocate(operation);
    case DiskCall::file_size: {
      struct stat status{};
      const int result = retry_transient([&] { return fstat(operation.descriptor, &status); });
      if (result != 0) return outcome(operation, result);
      return static_cast<std::size_t>(status.st_size);
    }
    case DiskCall::make_directory:
    case DiskCall::remove_directory:
    case DiskCall::remove: return carry_out_on_name(operation);
    case DiskCall::rename: return carry_out_rename(operation);
    case DiskCall::sync_directory: return carry_out_sync_directory(operation);
    case DiskCall::list: {
      if (auto good = check_relative_path(operation.path); !good) return fail(good.error());
      auto listed = root_.list(operation.path, *operation.entries);
      if (!listed) return fail(listed.error());
      return operation.entries->size();
    }
  }
  UNREACHABLE("a call that nobody carries out");
}

IoResult ThreadDisk::outcome(const Operation& operation, int result) {
  if (result >= 0) return 0;
  return fail(error_from_errno(errno, disk_call_name(operation.call), operation.path));
}

IoResult ThreadDisk::carry_out_open(Operation& operation) {
  if (auto good = check_relative_path(operation.path); !good) return fail(good.error());
  operation.is_direct = operation.is_direct && direct_works_;
  const Access access = operation.is_direct ? Access::direct : Access::buffered;
  int flags = open_flags(operation.mode, access);
  const auto open_it = [&] { return root_.open_below(operation.path.c_str(), flags); };
  OwnedDescriptor opened(retry_transient(open_it));
  if (!opened.is_open() && errno == EINVAL && operation.is_direct) {
    operation.is_direct = false;
    flags = without_direct(flags);
    opened = OwnedDescriptor(retry_transient(open_it));
    if (opened.is_open() && direct_works_.exchange(false)) warn_no_direct(root_.path());
  }
  if (!opened.is_open()) return outcome(operation, -1);
  const int error = settle_opened(opened.get());
  if (error == EINVAL)
    return fail(Errc::storage_error, fmt::format("open {}: not a regular file", operation.path));
  if (error != 0) return fail(error_from_errno(error, "open", operation.path));
  return static_cast<std::size_t>(opened.release());
}

IoResult ThreadDisk::carry_out_read(Operation& operation) {
  std::size_t bytes_read = 0;
  while (bytes_read < operation.into.size()) {
    const MutableBytes rest = operation.into.subspan(bytes_read);
    const auto position = static_cast<off_t>(operation.at.value + bytes_read);
    const ssize_t result = retry_transient(
        [&] { return pread(operation.descriptor, rest.data(), rest.size(), position); });
    if (result < 0) {
      return fail(
          error_from_errno(errno, "read", fmt::format("{} at {}", operation.path, position)));
    }
    const auto bytes = static_cast<std::size_t>(result);
    bytes_read += bytes;
    if (bytes == 0 || (operation.is_direct && bytes % direct_alignment != 0)) break;
  }
  return bytes_read;
}

IoResult ThreadDisk::carry_out_write(Operation& operation) {
  WriteProgress& progress = operation.progress;
  bool asked_synced = operation.sync == WriteSync::yes && synced_write_works_;
  int standstills = 0;
  while (!progress.is_complete()) {
    const auto slices = progress.remaining();
    const auto write_it = [&] {
      return pwritev2(operation.descriptor, slices.data(), static_cast<int>(slices.size()),
                      static_cast<off_t>(progress.position()), asked_synced ? RWF_DSYNC : 0);
    };
    const ssize_t result = retry_transient(write_it);
    if (result < 0 && errno == EOPNOTSUPP && asked_synced) {
      asked_synced = false;
      synced_write_works_ = false;
      continue;
    }
    const std::string_view at = operation.path;
    if (result < 0) {
      return fail(
          error_from_errno(errno, "write", fmt::format("{} at {}", at, progress.position())));
    }
    if (!progress.advance(static_cast<std::size_t>(result)) &&
        ++standstills > transient_retries_max) {
      return fail(
          Errc::storage_error,
          fmt::format("write {} at {}: the system wrote nothing of {} bytes, again and again", at,
                      progress.position(), progress.total()));
    }
  }
  // Only now is the full length there, so only now may a sync that covers it start (ST-18).
  const bool is_synced = asked_synced && !progress.was_continued() && progress.total() > 0;
  if (operation.sync == WriteSync::yes && !is_synced) {
    // Final, whatever the reason: the kernel forgets which pages it could not write (ST-15).
    if (retry_transient([&] { return fdatasync(operation.descriptor); }) != 0) {
      return fail(error_from_errno(errno, "fdatasync", operation.path));
    }
  }
  return progress.total();
}

IoResult ThreadDisk::carry_out_preallocate(Operation& operation) {
  if (operation.length == 0) return 0;
  const auto at = static_cast<off_t>(operation.at.value);
  const auto length = static_cast<off_t>(operation.length);
  int result = retry_transient([&] { return fallocate(operation.descriptor, 0, at, length); });
  if (result != 0 && errno == EOPNOTSUPP) {
    struct stat status{};
    result = fstat(operation.descriptor, &status);
    if (result == 0 && status.st_size < at + length) {
      result = retry_transient([&] { return ftruncate(operation.descriptor, at + length); });
    }
  }
  return outcome(operation, result);
}

IoResult ThreadDisk::carry_out_on_name(Operation& operation) {
  auto parent = root_.open_parent(operation.path);
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
  auto from = root_.open_parent(operation.path);
  if (!from) return fail(from.error());
  auto to = root_.open_parent(operation.to);
  if (!to) return fail(to.error());
  const int result = retry_transient([&] {
    return renameat(from->directory.get(), from->name.c_str(), to->directory.get(),
                    to->name.c_str());
  });
  if (result == 0) return 0;
  return fail(error_from_errno(errno, "rename", operation.path + " to " + operation.to));
}

IoResult ThreadDisk::carry_out_sync_directory(Operation& operation) {
  if (auto good = check_relative_path(operation.path); !good) return fail(good.error());
  const OwnedDescriptor directory(retry_transient([&] {
    return root_.open_below(operation.path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  }));
  if (!directory.is_open()) return outcome(operation, -1);
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

void ThreadDisk::deliver(Operation& operation) {
  --in_flight_;
  if (operation.file.is_open()) --files_.at(operation.file).in_flight;
  if (operation.call == DiskCall::open && operation.result) {
    const auto descriptor = static_cast<int>(*operation.result);
    operation.result =
        static_cast<std::size_t>(files_.add(descriptor, operation.path, operation.is_direct).value);
  }
  Completion& done = *operation.done;
  IoResult result = std::move(operation.result);
  operation.result = 0;
  free_.push_back(operation);
  done.finish(std::move(result));
}

}  // namespace millrace
