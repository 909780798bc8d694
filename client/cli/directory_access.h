// Whether this user may work on a data directory.
#pragma once

#include <optional>
#include <string>

namespace millrace::cli {

// What stands in the way of a look at all of it, with the user who may. One that may not read a
// directory would see faults where there is none.
std::optional<std::string> no_access(const std::string& directory);

}  // namespace millrace::cli
