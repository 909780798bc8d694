// Bytes as text: JSON strings, base64, and the test for UTF-8.
#pragma once

#include <string>
#include <string_view>

namespace millrace::cli {

// Well-formed UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF.
bool is_utf8(std::string_view bytes);

// Appends `utf8` as a JSON string with its quotes. The bytes must be UTF-8.
void append_json_string(std::string& out, std::string_view utf8);

// Standard alphabet, with padding.
void append_base64(std::string& out, std::string_view bytes);

}  // namespace millrace::cli
