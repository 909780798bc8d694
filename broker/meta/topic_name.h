// The rule of topic names, and how names from the network are shown to people.
//
// Pure. A name is [A-Za-z0-9._-]{1,200} without a leading dot. It never becomes a path: directories
// are topic ids.
#pragma once

#include "storage/base/result.h"

#include <string>
#include <string_view>

namespace millrace {

inline constexpr std::size_t topic_name_bytes_max = 200;

// Errors: bad_topic_name, naming what is wrong.
Result<void> check_topic_name(std::string_view name);

// `text` in quotes, cut to a length that fits a line, with everything that is not printable ASCII
// escaped.
std::string quoted(std::string_view text);

}  // namespace millrace
