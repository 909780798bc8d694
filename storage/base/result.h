// The one way a function says "that did not work": Result<T> holds a value or an Error.
//
// Errc is the closed list of expected refusals and operating faults. Its numbers travel in replies
// (docs/wire-protocol.md lists them), so they are only appended and never reused.
#pragma once

#include <concepts>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace millrace {

enum class Errc : std::uint16_t {
  ok = 0,
  // The request itself.
  bad_request = 1,    // malformed frame, wrong shape, a number outside its range
  unsupported = 2,    // unknown request kind, version or codec
  too_large = 3,      // a batch, event or reply above its limit
  bad_batch = 4,      // lengths, counts, checksums or columns of a batch do not agree
  bad_state = 5,      // right request, wrong moment: unknown subscription, duplicate id
  shutting_down = 6,  // the broker is stopping; retry elsewhere or later
  overloaded = 7,     // a bounded queue is full; retry after a pause
  timed_out = 8,      // no answer in time; the result is unknown
  // Topics and offsets.
  unknown_topic = 20,
  unknown_partition = 21,
  topic_exists = 22,
  bad_topic_name = 23,
  bad_setting = 24,
  offset_out_of_range = 25,
  // Producer sessions.
  out_of_order = 40,       // sequence gap: an earlier batch is missing
  sequence_conflict = 41,  // same sequence, other bytes
  fenced = 42,             // a newer epoch of this producer is known
  unknown_producer = 43,   // no state for this producer and the sequence is not 0
  sequence_expired = 44,   // a duplicate older than the window: its offset is no longer known
  // Storage.
  storage_full = 60,   // no space; nothing was acked; resumes by itself
  storage_error = 61,  // the disk refused; this log takes no more appends until a restart
  corrupt = 62,        // stored bytes do not verify; the range is named
  read_only = 63,      // this log may be read but not appended to (the reason is in the text)
  data_dir_in_use = 64,
  data_dir_refused = 65,  // newer format, other broker, not a data directory
  not_found = 66,         // a file or directory that is not there
  already_exists = 67,
  segment_full = 68,  // internal to storage: roll, then retry
  io_retry = 69,      // internal to storage: EINTR, EAGAIN
  cancelled = 70,
  // The client's own.
  disconnected = 80,  // no connection; the request was not sent
  closed = 81,        // the object was closed by its user
  bad_config = 90,
  bad_usage = 91,
};

// The stable lower-case name that appears in error texts, JSON and metrics labels.
std::string_view errc_name(Errc code);

// Whether the same request may succeed later without anybody changing it.
bool errc_can_retry(Errc code);

struct Error {
  Errc code = Errc::ok;
  std::string text;  // what failed, where, the limit and the value, what to do
  // Offsets the error is about, [begin, end): the damaged range of `corrupt` (reading goes on at
  // its end), what can be read of `offset_out_of_range`; both 0 for others.
  std::uint64_t range_begin = 0;
  std::uint64_t range_end = 0;

  Error() = default;
  explicit Error(Errc c) : code(c) {}
  Error(Errc c, std::string t) : code(c), text(std::move(t)) {}
  // "name: text", one line.
  std::string to_string() const;
};

template <class T>
class [[nodiscard]] Result : public std::expected<T, Error> {
 public:
  using std::expected<T, Error>::expected;

  // The base's own comparison with a value is ambiguous for a derived class: either side could be
  // the result, and the other the value. This one fits better than both.
  template <std::convertible_to<T> Value>
  friend bool operator==(const Result& result, const Value& value) {
    if constexpr (std::same_as<T, Value>) {
      return result.has_value() && *result == value;
    } else {
      return result.has_value() && *result == static_cast<T>(value);
    }
  }
};

// Shorthand for the failure side: `return fail(Errc::corrupt, "...")`.
inline std::unexpected<Error> fail(Errc code, std::string text = {}) {
  return std::unexpected<Error>(Error{code, std::move(text)});
}
inline std::unexpected<Error> fail(Error error) { return std::unexpected<Error>(std::move(error)); }

}  // namespace millrace
