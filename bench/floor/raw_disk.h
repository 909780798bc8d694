// A file that is written as a broker's log would be, by liburing and nothing else: O_DIRECT, one
// write with RWF_DSYNC in flight, positions growing and starting again at the file's end.
//
// Thread: one at a time; the ring is the writer's own. Throws std::runtime_error: a benchmark has
// nothing to save.
#pragma once

#include "bench/floor/cell.h"

#include <liburing.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace millrace::floor {

inline constexpr std::size_t alignment = 4096;

enum class Blocks {
  fallocated,  // reserved, never written: each synced write also journals the extent
  written,     // every block has been written before, as in a recycled segment
};

class AlignedMemory {
 public:
  explicit AlignedMemory(std::size_t bytes);
  std::byte* data() { return data_.get(); }
  std::size_t size() const { return size_; }

 private:
  struct Free {
    void operator()(std::byte* data) const;
  };
  std::size_t size_;
  std::unique_ptr<std::byte, Free> data_;
};

class RawFile {
 public:
  // Makes and prepares a file of `bytes` in `directory`; its name is removed at once.
  RawFile(const std::string& directory, std::uint64_t bytes, Blocks blocks);
  RawFile(const RawFile&) = delete;
  RawFile& operator=(const RawFile&) = delete;
  ~RawFile();

  // Begins the synced write of [data, data + bytes) at the next position. One at a time.
  void begin_write(const std::byte* data, std::size_t bytes);
  bool is_writing() const { return is_writing_; }
  // Submits what was begun and looks whether it has ended, without waiting.
  bool poll_written();
  // Waits for the write that was begun.
  void wait_written();
  // Waits for it, if there is one, or until `descriptor` is readable.
  void wait_written_or_readable(int descriptor);

 private:
  void take_completions();
  void check(int result);
  io_uring ring_{};
  int file_ = -1;
  std::uint64_t size_;
  std::uint64_t position_ = 0;
  std::size_t expected_ = 0;
  bool is_writing_ = false;
  bool is_polling_ = false;
};

// Depth 1: write, wait, write.
Cell measure_disk(const Options& options, std::size_t batch_bytes, Blocks blocks);

}  // namespace millrace::floor
