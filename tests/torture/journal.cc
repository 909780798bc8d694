#include "tests/torture/journal.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

namespace millrace::torture {

std::int64_t now_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

Journal::Journal(const std::string& path) {
  // Appending, so that the lines of two threads never lie over each other.
  descriptor_ = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0644);
  if (descriptor_ < 0) throw std::runtime_error(path + ": " + std::strerror(errno));
  write("millrace-journal 1\n");
}

Journal::~Journal() { close(descriptor_); }

void Journal::write(std::string_view lines) {
  if (lines.empty()) return;
  const ssize_t written = ::write(descriptor_, lines.data(), lines.size());
  if (written == static_cast<ssize_t>(lines.size())) return;
  std::fprintf(stderr, "millrace-torture-load: the journal cannot be written: %s\n",
               std::strerror(errno));
  std::_Exit(1);
}

}  // namespace millrace::torture
