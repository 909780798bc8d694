// A payload that says which event it is and whether all its bytes are those that were sent.
//
//   0   u64  magic
//   8   u64  session
//   16  u64  number of the event in its session
//   24       filling, made of the two
//   -8  u64  a hash of all that is before and of the length
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace millrace::torture {

constexpr std::size_t payload_bytes_min = 32;

struct EventName {
  std::uint64_t session = 0;
  std::uint64_t number = 0;
};

// Reuses the string.
void make_payload(EventName name, std::size_t bytes, std::string& payload);
// None: these are not the bytes of any event.
std::optional<EventName> parse_payload(std::string_view payload);

}  // namespace millrace::torture
