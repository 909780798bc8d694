// The known name that an unknown one was probably meant to be, for error texts.
#pragma once

#include <optional>
#include <span>
#include <string_view>

namespace millrace {

// The one of `known` that takes the fewest steps of one letter (insert, remove, replace) from
// `unknown`; nothing if even that one takes more than a third of the longer name's letters (two
// are always near): a far name would only send the reader the wrong way.
std::optional<std::string_view> nearest_name(std::string_view unknown,
                                             std::span<const std::string_view> known);

}  // namespace millrace
