#include "storage/io/disk_files.h"

#include "storage/base/check.h"
#include "storage/base/diag.h"
#include "storage/base/units.h"
#include "storage/io/errno_map.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

namespace millrace {
namespace {

constexpr mode_t new_file_mode = 0600;

int call_openat2(int directory, const char* path, const open_how& how) {
  return static_cast<int>(syscall(SYS_openat2, directory, path, &how, sizeof how));
}

DirectoryEntry::Kind kind_of(int directory, const dirent& entry) {
  switch (entry.d_type) {
    case DT_REG: return DirectoryEntry::Kind::file;
    case DT_DIR: return DirectoryEntry::Kind::directory;
    case DT_UNKNOWN: break;
    default: return DirectoryEntry::Kind::other;
  }
  struct stat status{};
  if (fstatat(directory, entry.d_name, &status, AT_SYMLINK_NOFOLLOW) != 0)
    return DirectoryEntry::Kind::other;
  if (S_ISREG(status.st_mode)) return DirectoryEntry::Kind::file;
  return S_ISDIR(status.st_mode) ? DirectoryEntry::Kind::directory : DirectoryEntry::Kind::other;
}

}  // namespace

std::string_view disk_call_name(DiskCall call) {
  switch (call) {
    case DiskCall::open: return "open";
    case DiskCall::close: return "close";
    case DiskCall::read: return "read";
    case DiskCall::write: return "write";
    case DiskCall::sync_data: return "fdatasync";
    case DiskCall::set_length: return "ftruncate";
    case DiskCall::preallocate: return "fallocate";
    case DiskCall::file_size: return "fstat";
    case DiskCall::make_directory: return "mkdir";
    case DiskCall::remove_directory: return "rmdir";
    case DiskCall::remove: return "unlink";
    case DiskCall::rename: return "rename";
    case DiskCall::sync_directory: return "fsync of directory";
    case DiskCall::list: return "list";
  }
  UNREACHABLE("a call of the disk that has no name");
}

OwnedDescriptor& OwnedDescriptor::operator=(OwnedDescriptor&& other) noexcept {
  if (this != &other) {
    reset();
    descriptor_ = other.release();
  }
  return *this;
}

void OwnedDescriptor::reset() {
  if (is_open()) ::close(release());
}

Result<void> check_relative_path(std::string_view path) {
  const auto refuse = [&](std::string_view why) {
    return fail(Errc::storage_error, fmt::format("path '{}' {}", path, why));
  };
  if (path == ".") return {};
  if (path.empty()) return refuse("is empty");
  if (path.front() == '/') return refuse("is absolute; it must be relative to the data directory");
  if (path.size() >= PATH_MAX) return refuse("is longer than the system takes");
  if (path.find('\0') != std::string_view::npos) return refuse("has a NUL byte");
  while (!path.empty()) {
    const std::string_view component = path.substr(0, path.find('/'));
    if (component.empty() || component == "." || component == "..")
      return refuse("has a component that is no name");
    if (component.size() > NAME_MAX) return refuse("has a name longer than the system takes");
    if (component.size() + 1 == path.size()) return refuse("ends with '/'");
    path.remove_prefix(std::min(component.size() + 1, path.size()));
  }
  return {};
}

int open_flags(OpenMode mode, Disk::Access access) {
  int flags = O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK;
  switch (mode) {
    case OpenMode::read: flags |= O_RDONLY; break;
    case OpenMode::write: flags |= O_RDWR; break;
    case OpenMode::create: flags |= O_RDWR | O_CREAT | O_EXCL; break;
  }
  if (access == Disk::Access::direct) flags |= O_DIRECT;
  return flags;
}

int without_direct(int flags) { return flags & ~(O_DIRECT | O_EXCL); }

void warn_no_direct(const std::string& root) {
  diag::warn("disk",
             "the file system of {} refuses O_DIRECT: files are opened buffered and commits take "
             "longer; ext4 and XFS "
             "take it",
             root);
}

int settle_opened(int descriptor) {
  struct stat status{};
  if (fstat(descriptor, &status) != 0) return errno;
  if (!S_ISREG(status.st_mode)) return EINVAL;
  const int flags = fcntl(descriptor, F_GETFL);
  if (flags < 0 || fcntl(descriptor, F_SETFL, flags & ~O_NONBLOCK) != 0) return errno;
  return 0;
}

// -- DiskRoot

Result<DiskRoot> DiskRoot::open(const std::string& path) {
  DiskRoot root;
  root.path_ = path;
  root.directory_ = OwnedDescriptor(
      retry_transient([&] { return ::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC); }));
  if (!root.directory_.is_open()) return fail(error_from_errno(errno, "open", path));
  // Asked for once, here: later refusals of openat2 are then about the file.
  const OwnedDescriptor probe(root.open_below(".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!probe.is_open() && (errno == ENOSYS || errno == EPERM)) root.has_openat2_ = false;
  return root;
}

open_how DiskRoot::how(int flags) const {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags);
  how.mode = (flags & O_CREAT) != 0 ? new_file_mode : 0;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
  return how;
}

int DiskRoot::open_below(const char* path, int flags) const {
  if (has_openat2_) return call_openat2(directory_.get(), path, how(flags));
  return openat(directory_.get(), path, flags | O_NOFOLLOW, new_file_mode);
}

Result<DiskRoot::Parent> DiskRoot::open_parent(std::string_view path) const {
  if (auto good = check_relative_path(path); !good) return fail(good.error());
  const std::size_t slash = path.rfind('/');
  const std::string directory(slash == std::string_view::npos ? std::string_view(".")
                                                              : path.substr(0, slash));
  Parent parent;
  parent.name = path.substr(slash == std::string_view::npos ? 0 : slash + 1);
  parent.directory = OwnedDescriptor(retry_transient(
      [&] { return open_below(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC); }));
  if (!parent.directory.is_open())
    return fail(error_from_errno(errno, "open directory", directory));
  return parent;
}

Result<void> DiskRoot::list(const std::string& path, std::vector<DirectoryEntry>& out) const {
  out.clear();
  const int descriptor =
      retry_transient([&] { return open_below(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
  if (descriptor < 0) return fail(error_from_errno(errno, "list", path));
  const auto closes = [](DIR* directory) { closedir(directory); };
  const std::unique_ptr<DIR, decltype(closes)> directory(fdopendir(descriptor), closes);
  if (!directory) {
    const int error = errno;
    ::close(descriptor);
    return fail(error_from_errno(error, "list", path));
  }
  for (;;) {
    errno = 0;
    const dirent* entry = readdir(directory.get());
    if (entry == nullptr) break;
    const std::string_view name(entry->d_name);
    if (name == "." || name == "..") continue;
    out.push_back({std::string(name), kind_of(descriptor, *entry)});
  }
  if (errno != 0) return fail(error_from_errno(errno, "list", path));
  return {};
}

Result<Disk::Space> DiskRoot::space() const {
  struct statvfs status{};
  if (retry_transient([&] { return fstatvfs(directory_.get(), &status); }) != 0) {
    return fail(error_from_errno(errno, "statvfs", path_));
  }
  return Disk::Space{.free_bytes = std::uint64_t{status.f_bavail} * status.f_frsize,
                     .total_bytes = std::uint64_t{status.f_blocks} * status.f_frsize};
}

// -- FileTable

FileTable::~FileTable() {
  for (const OpenFile& file : files_) {
    if (file.descriptor >= 0) ::close(file.descriptor);
  }
}

FileId FileTable::add(int descriptor, std::string path, bool is_direct) {
  OpenFile file{
      .descriptor = descriptor, .is_direct = is_direct, .in_flight = 0, .path = std::move(path)};
  if (free_.empty()) {
    files_.push_back(std::move(file));
    return FileId{static_cast<std::int32_t>(files_.size() - 1)};
  }
  const std::int32_t place = free_.back();
  free_.pop_back();
  files_[static_cast<std::size_t>(place)] = std::move(file);
  return FileId{place};
}

OpenFile& FileTable::at(FileId file) {
  CHECK(file.value >= 0 && static_cast<std::size_t>(file.value) < files_.size(),
        "a file id comes from open");
  OpenFile& found = files_[static_cast<std::size_t>(file.value)];
  CHECK(found.descriptor >= 0, "a closed file is not used");
  return found;
}

void FileTable::rename(std::string_view from, std::string_view to) {
  for (OpenFile& file : files_) {
    if (file.descriptor < 0) continue;
    if (auto path = renamed_path(file.path, from, to)) file.path = std::move(*path);
  }
}

std::optional<std::string> renamed_path(std::string_view path, std::string_view from,
                                        std::string_view to) {
  if (!path.starts_with(from)) return std::nullopt;
  const std::string_view below = path.substr(from.size());
  if (!below.empty() && below.front() != '/') return std::nullopt;
  return std::string(to).append(below);
}

OpenFile FileTable::remove(FileId file) {
  OpenFile& found = at(file);
  CHECK(found.in_flight == 0, "a file is closed only when nothing is in flight on it");
  free_.push_back(file.value);
  return std::exchange(found, OpenFile{});
}

// -- WriteProgress

void WriteProgress::start(Position at, std::span<const ByteView> slices, bool is_direct) {
  at_ = at;
  total_ = 0;
  written_ = 0;
  is_direct_ = is_direct;
  was_continued_ = false;
  all_.clear();
  for (const ByteView slice : slices) {
    if (slice.empty()) continue;
    total_ += slice.size();
    all_.push_back({const_cast<std::byte*>(slice.data()), slice.size()});
  }
  rebuild();
}

std::span<const iovec> WriteProgress::remaining() const {
  return std::span(remaining_).first(std::min<std::size_t>(remaining_.size(), IOV_MAX));
}

bool WriteProgress::advance(std::size_t bytes) {
  CHECK(bytes <= total_ - written_, "the system wrote no more than it was given");
  std::size_t reached = written_ + bytes;
  if (is_direct_ && reached < total_) reached = align_down(reached, Disk::direct_alignment);
  const bool progress = reached > written_;
  written_ = std::max(written_, reached);
  if (!is_complete()) {
    was_continued_ = true;
    rebuild();
  }
  return progress;
}

void WriteProgress::rebuild() {
  remaining_.clear();
  std::size_t skip = written_;
  for (const iovec& slice : all_) {
    if (skip >= slice.iov_len) {
      skip -= slice.iov_len;
      continue;
    }
    remaining_.push_back({static_cast<std::byte*>(slice.iov_base) + skip, slice.iov_len - skip});
    skip = 0;
  }
}

}  // namespace millrace
