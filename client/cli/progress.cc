#include "progress.h"

#include "storage/base/standard_error.h"

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
  write_standard_error(fmt::format("\r{}\x1b[K", text));
  std::fflush(stderr);
  drawn_ = true;
}

void ProgressLine::wipe() {
  if (!drawn_) return;
  write_standard_error("\r\x1b[K");
  std::fflush(stderr);
  drawn_ = false;
}

}  // namespace millrace::cli
