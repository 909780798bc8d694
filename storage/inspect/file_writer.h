// The few ways in which a repair changes files: plain blocking calls, each durable when it has
// answered, except names, which sync_directory makes so. Errors: storage_error, with the path.
#pragma once

#include "storage/base/bytes.h"
#include "storage/base/result.h"

#include <cstdint>
#include <string>

namespace millrace::inspect {

// The lock of a data directory, as a broker takes it; released with the object.
class DirectoryLock {
 public:
  // Errors: data_dir_in_use; storage_error.
  static Result<DirectoryLock> take(const std::string& data_directory);
  DirectoryLock(DirectoryLock&& other) noexcept;
  DirectoryLock& operator=(DirectoryLock&&) = delete;
  ~DirectoryLock();

 private:
  explicit DirectoryLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

bool path_exists(const std::string& path);
// Fine if it is there.
Result<void> make_directory(const std::string& path);
Result<void> sync_directory(const std::string& path);
// `to` must not exist.
Result<void> move_file(const std::string& from, const std::string& to);
Result<void> copy_file(const std::string& from, const std::string& to);
Result<void> remove_if_there(const std::string& path);
// The file is made if it is not there.
Result<void> write_at(const std::string& path, std::uint64_t position, ByteView bytes);
// Zeros from `position` to the end of its block of `block` bytes, and nothing behind.
Result<void> cut_file(const std::string& path, std::uint64_t position, std::uint64_t block);

}  // namespace millrace::inspect
