// Bytes on their way to a file descriptor, written in big pieces.
//
// Owner: one command. Thread: one. Never throws; a failed write is remembered and later bytes are
// dropped.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace millrace::cli {

class OutputBuffer {
 public:
  // Does not own the descriptor.
  explicit OutputBuffer(int descriptor);
  OutputBuffer(const OutputBuffer&) = delete;
  OutputBuffer& operator=(const OutputBuffer&) = delete;
  // Flushes.
  ~OutputBuffer();

  // Where the next bytes are appended; call end_item() after each whole item.
  std::string& bytes() { return bytes_; }
  void append(std::string_view text) { bytes_.append(text); }
  // Writes when enough has gathered.
  void end_item() {
    if (bytes_.size() >= flush_bytes) flush();
  }
  void flush();

  // The reader of the pipe went away: the quiet end.
  bool closed() const { return error_ == closed_pipe; }
  // errno of the first failed write, a closed pipe not counted; 0: none.
  int error() const { return closed() ? 0 : error_; }
  bool is_terminal() const { return is_terminal_; }
  std::size_t written() const { return written_; }

 private:
  static constexpr std::size_t flush_bytes = 256 * 1024;
  static const int closed_pipe;
  int descriptor_;
  bool is_terminal_;
  int error_ = 0;
  std::size_t written_ = 0;
  std::string bytes_;
};

}  // namespace millrace::cli
