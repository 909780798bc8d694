// Sizes and durations as people write them: "256 MiB", "7 days", "none".
//
// Pure. Printing a value and parsing what was printed gives the value back.
#pragma once

#include "storage/base/result.h"
#include "storage/base/units.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace millrace {

// A whole number and B, KiB, MiB, GiB, TiB (1,024) or kB, MB, GB, TB (1,000); no unit means bytes.
// Errors: bad_setting.
Result<std::uint64_t> size_from_text(std::string_view text);
std::string size_text(std::uint64_t bytes);

// A whole number and ms, s, min, h, d, or the word in singular or plural ("7 days", "1 hour").
// Errors: bad_setting.
Result<Duration> duration_from_text(std::string_view text);
std::string text_of_duration(Duration duration);

}  // namespace millrace
