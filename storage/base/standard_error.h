// Words for people, on standard error.
#pragma once

#include <string_view>

namespace millrace {

// Writes `text` as it is. A standard error that is full, closed or read by nobody costs the text
// and nothing else: there is no other place to tell of it.
void write_standard_error(std::string_view text) noexcept;

}  // namespace millrace
