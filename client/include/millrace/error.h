// Errors are values: a stable code, where it arose, a text of one line, and whether a retry can
// help.
#pragma once

#include <cstdint>
#include <expected>
#include <string>

namespace millrace {

// Where an error arose.
enum class Origin { client, broker };

struct ClientError {
  std::uint16_t code = 0;  // the numbers of docs/wire-protocol.md, "Errors"
  std::string name;        // the stable lower-case name: "unknown_topic", "timed_out", ...
  Origin origin = Origin::client;
  std::string text;  // what failed, the limit and the value, what to do
  bool can_retry = false;
  // corrupt: the damaged offsets [begin, end); offset_out_of_range: what can be read now; both 0
  // for others.
  std::uint64_t range_begin = 0;
  std::uint64_t range_end = 0;
  // "name (broker): text"
  std::string to_string() const;
};

template <class T>
class [[nodiscard]] Outcome : public std::expected<T, ClientError> {
 public:
  using std::expected<T, ClientError>::expected;
};

}  // namespace millrace
