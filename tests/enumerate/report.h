// What the enumerating programs share: the line of a ledger, and the commit that it is about.
#pragma once

#include <nlohmann/json.hpp>

#include <string>

namespace millrace::test {

// `git describe` of the sources, or "unknown".
std::string source_commit();

// Appends one line of JSON; throws std::runtime_error when it cannot be written.
void append_to_ledger(const std::string& path, const nlohmann::ordered_json& line);

}  // namespace millrace::test
