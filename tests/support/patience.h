// How long a test waits for what must come. Only a failure waits to the end of it, so it is long: a
// busy machine, or a sanitizer, may make everything many times slower.
#pragma once

#include <chrono>
#include <thread>

namespace millrace::test {

inline constexpr std::chrono::seconds patience{60};

// True as soon as `holds()` is; false when it is not within our patience.
template <class Condition>
bool eventually(Condition holds) {
  const auto last = std::chrono::steady_clock::now() + patience;
  while (!holds()) {
    if (std::chrono::steady_clock::now() >= last) return false;
    // The processor belongs to whoever makes it true.
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

}  // namespace millrace::test
