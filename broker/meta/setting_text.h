// Sizes, durations and counts as people write them, in the configuration and in the settings of a
// topic: "256 MiB", "7 days", "500 ms".
//
// Pure. Printing a value and parsing what was printed gives the value back. None: the text is
// nothing of the kind, or above 2^63 - 1.
#pragma once

#include "storage/base/units.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace millrace {

// "4096", "64 KiB", "1.5 GiB"; kB, MB, GB, TB count in thousands.
std::optional<std::uint64_t> parse_size(std::string_view text);
// In the largest unit that holds it without a fraction: "256 MiB", "1000 B".
std::string size_text(std::uint64_t bytes);

// "500 ms", "3 s", "10 min", "12 hours", "7 days", "2 weeks"; "0" alone needs no unit.
std::optional<Duration> parse_duration(std::string_view text);
std::string duration_text(Duration duration);

// Digits only.
std::optional<std::uint64_t> parse_count(std::string_view text);

}  // namespace millrace
