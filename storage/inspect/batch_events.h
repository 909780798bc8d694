// The events of a stored batch, decompressed: for dumps, and to check that a body is what its
// header says.
#pragma once

#include "storage/base/result.h"
#include "storage/format/batch.h"

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

namespace millrace::inspect {

// Views into the batch; valid for the call.
struct StoredEvent {
  std::uint64_t offset = 0;
  std::int64_t time_ns = 0;
  std::int64_t append_time_ns = 0;
  std::string_view key;
  std::string_view payload;
  std::string_view raw_headers;
};

class BatchEvents {
 public:
  // Errors: corrupt or bad_batch when the body does not decompress or its columns do not agree.
  Result<void> check(const BatchView& batch);
  Result<void> visit(const BatchView& batch,
                     const std::function<void(const StoredEvent&)>& visitor);

 private:
  Result<ByteView> body(const BatchView& batch);
  // Kept from batch to batch; 8-byte elements, because columns are read in place.
  std::vector<std::uint64_t> buffer_;
};

}  // namespace millrace::inspect
