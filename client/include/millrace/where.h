// Places in a partition, as people write them: start, end, -10, 1234, @2026-09-01T12:00:00Z, @-2h.
#pragma once

#include "millrace/error.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace millrace {

struct Place {
  enum class Kind : std::uint8_t { start = 0, end = 1, before_end = 2, offset = 3, time = 4 };
  Kind kind = Kind::start;
  std::int64_t value = 0;  // before_end: events; offset: offset; time: ns since 1970

  static Place from_start() { return {}; }
  static Place from_end() { return {Kind::end, 0}; }
  static Place at(std::uint64_t offset) {
    return {Kind::offset, static_cast<std::int64_t>(offset)};
  }
  // `now_ns` is what "@-2h" counts from. Errors: bad_usage, naming what is allowed.
  static Outcome<Place> parse(std::string_view text, std::int64_t now_ns);
  std::string to_string() const;
};

// BEGIN:END, end exclusive, either side may be left out.
struct PlaceRange {
  Place begin = Place::from_start();
  std::optional<Place> end;  // none: the end as it stands when asked
  // The end lies before the beginning wherever the partition stands: 20:10, -5:-10, end:start.
  bool is_reversed() const;
  static Outcome<PlaceRange> parse(std::string_view text, std::int64_t now_ns);
};

// RFC 3339 in UTC with as many fraction digits as needed (none, 3, 6 or 9).
std::string format_time(std::int64_t ns_since_1970);
// Errors: bad_usage.
Outcome<std::int64_t> parse_time(std::string_view rfc3339);

}  // namespace millrace
