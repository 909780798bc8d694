#include "reader_options.h"

#include "storage/format/batch_layout.h"

#include <fmt/core.h>

namespace millrace::detail {

std::optional<std::string> fault_of(const ReaderOptions& options) {
  if (options.credit_bytes < 64 * 1024 || options.credit_bytes > (1u << 30))
    return fmt::format("credit_bytes is {}; allowed is 65536 to {}", options.credit_bytes,
                       1u << 30);
  if (options.batch_bytes_max < 1024 || options.batch_bytes_max > batch_layout::body_bytes_limit)
    return fmt::format("batch_bytes_max is {}; allowed is 1024 to {}", options.batch_bytes_max,
                       batch_layout::body_bytes_limit);
  return std::nullopt;
}

}  // namespace millrace::detail
