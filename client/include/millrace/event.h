// Events as users see them.
//
// EventView points into the batch that was received: no copy per event. It is valid until the
// reader's next call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace millrace {

struct HeaderField {
  std::string name;
  std::string value;
};

// To send. Views need to live for the call of send() only.
struct Event {
  std::string_view key = {};  // empty: no key
  std::string_view payload = {};
  std::span<const HeaderField> headers = {};
  // Nanoseconds since 1970; 0: now.
  std::int64_t time_ns = 0;
};

struct EventView {
  std::string_view topic;
  std::uint32_t partition = 0;
  std::uint64_t offset = 0;
  std::int64_t time_ns = 0;         // as the producer gave it
  std::int64_t append_time_ns = 0;  // when the broker took it
  std::string_view key;             // empty: no key
  std::string_view payload;         // begins on an 8-byte boundary
  std::string_view raw_headers;     // encoded; see headers()
  // Decodes the headers; allocates.
  std::vector<HeaderField> headers() const;
};

}  // namespace millrace
