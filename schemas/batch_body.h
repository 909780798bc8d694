// The columns of a batch body (batch.fbs): built by producers, verified by the broker on arrival
// and by readers.
//
// Pure; no thread of its own. A view does not own: it is valid while the bytes it was parsed from
// are.
#pragma once

#include "storage/base/bytes.h"
#include "storage/base/result.h"

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace millrace {

struct HeaderView {
  std::string_view name;
  ByteView value;
};

// A verified, uncompressed body.
class BatchBodyView {
 public:
  // Verifies the FlatBuffer under tight limits, that every column has `event_count` elements, that
  // all ends rise and stay inside, that padding rules hold and that header entries are whole. After
  // this no accessor can fail. `body` must begin on an 8-byte boundary (CHECKed). Errors:
  // Errc::bad_batch, naming the column and the event.
  static Result<BatchBodyView> parse(ByteView body, std::uint32_t event_count);

  std::uint32_t event_count() const { return event_count_; }
  ByteView payload(std::uint32_t i) const;
  // Empty when the event has no key.
  ByteView key(std::uint32_t i) const;
  // The event's header entries as encoded (see batch.fbs); empty when there are none.
  ByteView raw_headers(std::uint32_t i) const;
  // Nanoseconds since 1970.
  std::int64_t time(std::uint32_t i) const;
  // Of all events.
  std::int64_t max_time() const;

 private:
  std::uint32_t end_at(const std::byte* ends, std::uint32_t i) const;
  std::uint32_t event_count_ = 0;
  const std::byte* payloads_ = nullptr;
  const std::byte* payload_ends_ = nullptr;
  const std::byte* keys_ = nullptr;
  const std::byte* key_ends_ = nullptr;  // null: no keys
  const std::byte* headers_ = nullptr;
  const std::byte* header_ends_ = nullptr;  // null: no headers
  const std::byte* time_deltas_ = nullptr;  // null: all at base_time_
  std::int64_t base_time_ = 0;
};

// Splits encoded headers. False when they are not whole.
bool decode_headers(ByteView raw, std::vector<HeaderView>& out);
void encode_header(std::string_view name, ByteView value, std::vector<std::byte>& out);

// Collects events into columns. Reusable: clear() keeps the memory.
class BatchBodyBuilder {
 public:
  // `raw_headers` as encode_header wrote them.
  void add(ByteView key, ByteView payload, ByteView raw_headers, std::int64_t time_ns);
  void clear();

  bool empty() const { return payload_ends_.empty(); }
  std::uint32_t event_count() const { return static_cast<std::uint32_t>(payload_ends_.size()); }
  // A close upper bound of the finished body's size.
  std::size_t body_bytes() const;
  // The same after one more event of these sizes.
  std::size_t body_bytes_with(std::size_t key, std::size_t payload, std::size_t raw_headers) const;
  std::int64_t max_time() const { return max_time_; }

  // The body as one FlatBuffer, with `front_bytes` (a multiple of 8) unwritten bytes before it for
  // a batch header. The result begins on an 8-byte boundary.
  std::vector<std::byte> finish(std::size_t front_bytes) const;

 private:
  std::vector<std::byte> payloads_, keys_, headers_;
  std::vector<std::uint32_t> payload_ends_, key_ends_, header_ends_;
  std::vector<std::int64_t> times_;
  std::int64_t max_time_ = INT64_MIN;
  bool same_time_ = true;
};

}  // namespace millrace
