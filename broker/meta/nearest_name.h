// The known name that a mistyped one was probably meant to be. Pure.
#pragma once

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <string_view>

namespace millrace {

// Steps of one letter (insert, remove, replace) between two words; only their beginnings are
// compared.
std::size_t edit_distance(std::string_view a, std::string_view b);

// The `name` of one of `known`, of which there is at least one.
template <class Known>
std::string_view nearest_name(std::string_view name, const Known& known) {
  return std::min_element(std::begin(known), std::end(known),
                          [&](const auto& a, const auto& b) {
                            return edit_distance(a.name, name) < edit_distance(b.name, name);
                          })
      ->name;
}

}  // namespace millrace
