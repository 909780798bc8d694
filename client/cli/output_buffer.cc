#include "output_buffer.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>

namespace millrace::cli {

const int OutputBuffer::closed_pipe = EPIPE;

OutputBuffer::OutputBuffer(int descriptor)
    : descriptor_(descriptor), is_terminal_(::isatty(descriptor) == 1) {
  bytes_.reserve(flush_bytes + flush_bytes / 2);
}

OutputBuffer::~OutputBuffer() { flush(); }

void OutputBuffer::flush() {
  std::string_view rest = bytes_;
  if (rest.empty()) {
    // Nothing to write would never notice that the pipe's reader has gone.
    pollfd pipe{descriptor_, 0, 0};
    if (error_ == 0 && ::poll(&pipe, 1, 0) == 1 && (pipe.revents & POLLERR) != 0) error_ = EPIPE;
  }
  while (error_ == 0 && !rest.empty()) {
    const auto count = ::write(descriptor_, rest.data(), rest.size());
    if (count >= 0) {
      rest.remove_prefix(static_cast<std::size_t>(count));
      written_ += static_cast<std::size_t>(count);
    } else if (errno == EAGAIN) {
      pollfd wait{descriptor_, POLLOUT, 0};
      ::poll(&wait, 1, -1);
    } else if (errno != EINTR) {
      error_ = errno;
    }
  }
  bytes_.clear();
}

}  // namespace millrace::cli
