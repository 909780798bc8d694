#include "storage/inspect/file_reader.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace millrace::inspect {
namespace {

std::unexpected<Error> refuse(const char* call, const std::string& path, int error) {
  const Errc code = error == ENOENT  ? Errc::not_found
                    : error == ELOOP ? Errc::data_dir_refused
                                     : Errc::storage_error;
  return fail(code, fmt::format("cannot {} {}: {}", call, path, std::strerror(error)));
}

}  // namespace

Result<FileReader> FileReader::open(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (descriptor < 0) return refuse("open", path, errno);
  struct stat status = {};
  if (::fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(descriptor);
    return fail(Errc::data_dir_refused, fmt::format("{} is not a regular file", path));
  }
  ::posix_fadvise(descriptor, 0, 0, POSIX_FADV_SEQUENTIAL);
  return FileReader(path, descriptor, static_cast<std::uint64_t>(status.st_size));
}

FileReader::FileReader(FileReader&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      bytes_(other.bytes_) {}

FileReader::~FileReader() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<std::size_t> FileReader::read(std::uint64_t position, MutableBytes into) const {
  std::size_t have = 0;
  while (have < into.size()) {
    const auto count = ::pread(descriptor_, into.data() + have, into.size() - have,
                               static_cast<off_t>(position + have));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0)
      return refuse("read", fmt::format("{} at position {}", path_, position + have), errno);
    if (count == 0) break;
    have += static_cast<std::size_t>(count);
  }
  return have;
}

Result<std::vector<std::byte>> FileReader::read_front(std::size_t bytes_max) const {
  std::vector<std::byte> out(std::min<std::uint64_t>(bytes_max, bytes_));
  const auto have = read(0, out);
  if (!have) return fail(have.error());
  out.resize(*have);
  return out;
}

Result<std::vector<std::string>> list_directory(const std::string& path) {
  DIR* directory = ::opendir(path.c_str());
  if (directory == nullptr) return refuse("list", path, errno);
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(directory)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  const int error = errno;
  ::closedir(directory);
  if (error != 0) return refuse("list", path, error);
  std::sort(names.begin(), names.end());
  return names;
}

bool is_directory(const std::string& path) {
  struct stat status = {};
  return ::lstat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

}  // namespace millrace::inspect
