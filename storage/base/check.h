// Always-on assertions. A failed CHECK means an invariant of this program is broken (never bad
// input, never a failed disk): it prints the place, the condition and the values, and stops the
// process.
//
// DCHECK is the same in builds without NDEBUG and nothing elsewhere; it is only for what is
// measurably slow.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <source_location>
#include <string_view>

namespace millrace {

[[noreturn]] inline void check_failed(
    std::string_view condition, std::string_view message,
    std::source_location where = std::source_location::current()) {
  std::fprintf(stderr, "millrace: broken invariant at %s:%u: %.*s: %.*s\n", where.file_name(),
               static_cast<unsigned>(where.line()), static_cast<int>(condition.size()),
               condition.data(), static_cast<int>(message.size()), message.data());
  std::abort();
}

}  // namespace millrace

#define CHECK(condition, message)                    \
  do {                                               \
    if (!(condition)) [[unlikely]] {                 \
      ::millrace::check_failed(#condition, message); \
    }                                                \
  } while (false)

#ifdef NDEBUG
#define DCHECK(condition, message) \
  do {                             \
  } while (false)
#else
#define DCHECK(condition, message) CHECK(condition, message)
#endif

#define UNREACHABLE(message) ::millrace::check_failed("unreachable", message)
