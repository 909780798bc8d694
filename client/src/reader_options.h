// What a Reader and a LiveReader ask of their options.
#pragma once

#include "millrace/options.h"

#include <optional>
#include <string>

namespace millrace::detail {

// What is wrong with them, with the limits; nothing: they will do.
std::optional<std::string> fault_of(const ReaderOptions& options);

}  // namespace millrace::detail
