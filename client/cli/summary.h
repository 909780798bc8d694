// Results on standard output: text as it is, JSON as one line.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <string_view>

namespace millrace::cli {

void print_text(std::string_view text);
void print_json(const nlohmann::ordered_json& value);

// Whether one of these could not write (a pipe whose reader went away does not count), and why.
bool output_failed();
std::string output_failure();

}  // namespace millrace::cli
