#include "line_reader.h"

#include "interrupt.h"

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace millrace::cli {
namespace {

bool is_regular_file(int descriptor) {
  struct stat status = {};
  return ::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
}

// False: a signal came first.
bool wait_readable(int descriptor) {
  pollfd wait[2] = {{descriptor, POLLIN, 0}, {interrupt_descriptor(), POLLIN, 0}};
  while (::poll(wait, 2, -1) < 0 && errno == EINTR) {
  }
  return (wait[1].revents & POLLIN) == 0;
}

}  // namespace

LineReader::LineReader(int descriptor, std::size_t line_bytes_max, std::size_t block_bytes)
    : descriptor_(descriptor),
      line_bytes_max_(line_bytes_max),
      may_block_(!is_regular_file(descriptor)),
      capacity_(block_bytes),
      block_(std::make_unique_for_overwrite<char[]>(block_bytes)) {}

std::optional<std::string_view> LineReader::next() {
  while (true) {
    const char* from = block_.get() + searched_;
    const auto* newline = static_cast<const char*>(std::memchr(from, '\n', end_ - searched_));
    if (newline != nullptr) {
      const auto line = take(static_cast<std::size_t>(newline - block_.get()) - begin_);
      begin_ = searched_ = begin_ + 1;  // behind the newline
      return line;
    }
    searched_ = end_;
    if (end_ - begin_ > line_bytes_max_) {
      too_long_ = true;
      ++line_number_;
      return std::nullopt;
    }
    if (!ended_ && !fill()) return std::nullopt;
    if (ended_) return begin_ < end_ ? std::optional(take(end_ - begin_)) : std::nullopt;
  }
}

std::optional<std::string_view> LineReader::rest() {
  if (rest_taken_) return std::nullopt;
  while (!ended_) {
    if (end_ - begin_ > line_bytes_max_) {
      too_long_ = true;
      return std::nullopt;
    }
    if (!fill()) return std::nullopt;
  }
  rest_taken_ = true;
  return take(end_ - begin_);
}

bool LineReader::has_line() const {
  return std::memchr(block_.get() + searched_, '\n', end_ - searched_) != nullptr;
}

std::string_view LineReader::take(std::size_t bytes) {
  const std::string_view out(block_.get() + begin_, bytes);
  begin_ = searched_ = begin_ + bytes;
  ++line_number_;
  return out;
}

// Makes room by moving the unfinished line to the front, or by growing when the line fills the
// block; then reads once. False: a failed read or an interrupt.
bool LineReader::fill() {
  if (begin_ > 0) {
    std::memmove(block_.get(), block_.get() + begin_, end_ - begin_);
    end_ -= begin_;
    searched_ -= begin_;
    begin_ = 0;
  }
  if (end_ == capacity_) {
    auto larger = std::make_unique_for_overwrite<char[]>(capacity_ * 2);
    std::memcpy(larger.get(), block_.get(), end_);
    block_ = std::move(larger);
    capacity_ *= 2;
  }
  while (true) {
    if (interrupted() || (may_block_ && !wait_readable(descriptor_))) return false;
    const auto count = ::read(descriptor_, block_.get() + end_, capacity_ - end_);
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (count < 0) {
      error_ = errno;
      return false;
    }
    ended_ = count == 0;
    end_ += static_cast<std::size_t>(count);
    if (count > 0) ++blocks_read_;
    return true;
  }
}

}  // namespace millrace::cli
