// Sizes and times in the words of the configuration: "256 MiB", "7 days", "500 ms". Pure.
#pragma once

#include "storage/base/units.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace millrace {

// "4096", "64 KiB", "1.5 GiB"; KB, MB, GB, TB count in thousands. None: not a size, or above 2^63.
std::optional<std::uint64_t> parse_bytes(std::string_view text);
// In the largest unit that holds it without a fraction: "256 MiB", "1000 B".
std::string bytes_text(std::uint64_t bytes);

// "500 ms", "3 s", "10 min", "12 hours", "7 days", "2 weeks"; "0" needs no unit. None: not a
// duration.
std::optional<Duration> parse_duration(std::string_view text);
std::string duration_text(Duration duration);

// Digits only. None: anything else, or above 2^63.
std::optional<std::uint64_t> parse_count(std::string_view text);

}  // namespace millrace
