#include "storage/base/standard_error.h"

#include <cstdio>

namespace millrace {

void write_standard_error(std::string_view text) noexcept {
  static_cast<void>(std::fwrite(text.data(), 1, text.size(), stderr));
  std::clearerr(stderr);
}

}  // namespace millrace
