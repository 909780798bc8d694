// Calls a stored function as the last thing its owner does: the function is moved out first, so it
// may destroy the owner.
#pragma once

#include <utility>

namespace millrace {

template <class Function, class... Args>
void call_last(Function& stored, Args&&... args) {
  Function function = std::move(stored);
  function(std::forward<Args>(args)...);
}

}  // namespace millrace
