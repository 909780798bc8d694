#include "progress.h"

#include <fmt/format.h>

namespace millrace::cli {

ProgressLine::~ProgressLine() { wipe(); }

bool ProgressLine::due() {
  if (!on_) return false;
  const double now = monotonic_seconds();
  if (now < next_) return false;
  next_ = now + 0.2;
  return true;
}

void ProgressLine::draw(std::string_view text) {
  if (!on_) return;
  fmt::print(stderr, "\r{}\x1b[K", text);
  std::fflush(stderr);
  drawn_ = true;
}

void ProgressLine::wipe() {
  if (!drawn_) return;
  fmt::print(stderr, "\r\x1b[K");
  std::fflush(stderr);
  drawn_ = false;
}

}  // namespace millrace::cli
