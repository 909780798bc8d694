// A regular file, read with plain blocking calls. Never writes.
#pragma once

#include "storage/base/bytes.h"
#include "storage/base/result.h"

#include <cstdint>
#include <string>
#include <vector>

namespace millrace::inspect {

class FileReader {
 public:
  // Errors: not_found; data_dir_refused for a link, a directory or a device; storage_error.
  static Result<FileReader> open(const std::string& path);
  FileReader(FileReader&& other) noexcept;
  FileReader& operator=(FileReader&&) = delete;
  ~FileReader();

  std::uint64_t bytes() const { return bytes_; }
  // Answers how much was there; less than asked only at the end of the file.
  Result<std::size_t> read(std::uint64_t position, MutableBytes into) const;
  // The first `bytes_max` bytes, or all.
  Result<std::vector<std::byte>> read_front(std::size_t bytes_max) const;

 private:
  FileReader(std::string path, int descriptor, std::uint64_t bytes)
      : path_(std::move(path)), descriptor_(descriptor), bytes_(bytes) {}
  std::string path_;
  int descriptor_;
  std::uint64_t bytes_;
};

// Names in a directory, sorted, without "." and "..".
Result<std::vector<std::string>> list_directory(const std::string& path);
bool is_directory(const std::string& path);

}  // namespace millrace::inspect
