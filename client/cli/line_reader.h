// Lines of a file or of standard input, as views into big blocks: no copy per line.
//
// A line ends at '\n', which is not part of it; what follows the last '\n' is a line if it is not
// empty. An empty line is a line of no bytes. '\r' is an ordinary byte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace millrace::cli {

class LineReader {
 public:
  // Reads `descriptor`, which stays the caller's. A line longer than `line_bytes_max` is cut there,
  // and too_long() set.
  explicit LineReader(int descriptor, std::size_t line_bytes_max = 64 * 1024 * 1024,
                      std::size_t block_bytes = 1024 * 1024);

  // The next line; valid until the next call. Nothing: the end, an interrupt, a failed read, or a
  // line that is too long.
  std::optional<std::string_view> next();
  // The whole rest as one piece, once, under the same limit; it may be empty.
  std::optional<std::string_view> rest();

  std::uint64_t line_number() const { return line_number_; }
  // errno of a failed read; 0: none.
  int error() const { return error_; }
  bool too_long() const { return too_long_; }
  // Counts up whenever new bytes were read: a cheap sign that time has passed.
  std::uint64_t blocks_read() const { return blocks_read_; }
  // Whether the next line is at hand without a read that may block.
  bool has_line() const;

 private:
  bool fill();
  std::string_view take(std::size_t bytes);

  int descriptor_;
  std::size_t line_bytes_max_;
  bool may_block_;
  // The line in the making is [begin_, end_); no newline in [begin_, searched_).
  std::size_t capacity_;
  std::unique_ptr<char[]> block_;
  std::size_t begin_ = 0, searched_ = 0, end_ = 0;
  bool ended_ = false;
  bool rest_taken_ = false;
  bool too_long_ = false;
  int error_ = 0;
  std::uint64_t line_number_ = 0;
  std::uint64_t blocks_read_ = 0;
};

}  // namespace millrace::cli
