#include "storage/inspect/file_writer.h"

#include "storage/inspect/file_reader.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>
#include <vector>

namespace millrace::inspect {
namespace {

constexpr int lock_tries = 50;
constexpr int lock_retry_ms = 10;

std::unexpected<Error> failed(const char* call, const std::string& path) {
  return fail(Errc::storage_error,
              fmt::format("cannot {} {}: {}", call, path, std::strerror(errno)));
}

// A descriptor that is closed with its owner.
class Descriptor {
 public:
  Descriptor(const std::string& path, int flags)
      : value_(::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, 0644)) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  bool is_open() const { return value_ >= 0; }
  int get() const { return value_; }

 private:
  int value_;
};

Result<void> write_all(const Descriptor& file, const std::string& path, std::uint64_t position,
                       ByteView bytes) {
  while (!bytes.empty()) {
    const auto count =
        ::pwrite(file.get(), bytes.data(), bytes.size(), static_cast<off_t>(position));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return failed("write", path);
    bytes = bytes.subspan(static_cast<std::size_t>(count));
    position += static_cast<std::uint64_t>(count);
  }
  return {};
}

Result<void> sync(const Descriptor& file, const std::string& path) {
  if (::fsync(file.get()) != 0) return failed("sync", path);
  return {};
}

}  // namespace

Result<DirectoryLock> DirectoryLock::take(const std::string& data_directory) {
  const std::string path = data_directory + "/lock";
  const int lock = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (lock < 0) return failed("open", path);
  // The last I/O of a broker that has just ended may still hold it.
  for (int tries = 0; tries < lock_tries; ++tries) {
    if (::flock(lock, LOCK_EX | LOCK_NB) == 0) return DirectoryLock(lock);
    if (errno != EWOULDBLOCK) break;
    ::poll(nullptr, 0, lock_retry_ms);
    errno = EWOULDBLOCK;
  }
  const bool held = errno == EWOULDBLOCK;
  const auto error = failed("lock", path);
  ::close(lock);
  if (!held) return error;
  return fail(Errc::data_dir_in_use,
              fmt::format("{} is in use by a broker; stop it first", data_directory));
}

DirectoryLock::DirectoryLock(DirectoryLock&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)) {}

DirectoryLock::~DirectoryLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

bool path_exists(const std::string& path) {
  struct stat status = {};
  return ::lstat(path.c_str(), &status) == 0;
}

Result<void> make_directory(const std::string& path) {
  if (::mkdir(path.c_str(), 0755) == 0 || errno == EEXIST) return {};
  return failed("make", path);
}

Result<void> sync_directory(const std::string& path) {
  const Descriptor directory(path, O_RDONLY | O_DIRECTORY);
  if (!directory.is_open()) return failed("open", path);
  return sync(directory, path);
}

Result<void> move_file(const std::string& from, const std::string& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return {};
  return failed("move", from + " to " + to);
}

Result<void> copy_file(const std::string& from, const std::string& to) {
  const auto reader = FileReader::open(from);
  if (!reader) return fail(reader.error());
  const Descriptor target(to, O_WRONLY | O_CREAT | O_EXCL);
  if (!target.is_open()) return failed("make", to);
  std::vector<std::byte> piece(1024 * 1024);
  for (std::uint64_t at = 0; at < reader->bytes();) {
    const auto have = reader->read(at, piece);
    if (!have) return fail(have.error());
    if (*have == 0) break;
    if (auto ok = write_all(target, to, at, ByteView(piece).first(*have)); !ok) return ok;
    at += *have;
  }
  return sync(target, to);
}

Result<void> remove_if_there(const std::string& path) {
  if (::unlink(path.c_str()) == 0 || errno == ENOENT) return {};
  return failed("remove", path);
}

Result<void> write_at(const std::string& path, std::uint64_t position, ByteView bytes) {
  const Descriptor file(path, O_WRONLY | O_CREAT);
  if (!file.is_open()) return failed("open", path);
  if (auto ok = write_all(file, path, position, bytes); !ok) return ok;
  return sync(file, path);
}

Result<void> cut_file(const std::string& path, std::uint64_t position, std::uint64_t block) {
  const Descriptor file(path, O_WRONLY);
  if (!file.is_open()) return failed("open", path);
  const std::uint64_t end = (position + block - 1) / block * block;
  const std::vector<std::byte> zeros(end - position);
  if (auto ok = write_all(file, path, position, zeros); !ok) return ok;
  if (::ftruncate(file.get(), static_cast<off_t>(end)) != 0) return failed("cut", path);
  return sync(file, path);
}

}  // namespace millrace::inspect
