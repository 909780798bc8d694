// The one place where the system's error numbers become ours.
//
//   ENOSPC, EDQUOT, EFBIG  storage_full: nothing is broken, it resumes when there is room
//   ENOENT                 not_found
//   EEXIST                 already_exists
//   all else               storage_error
//
// EINTR, EAGAIN and EBUSY never leave storage/io unless they come `transient_retries_max` times in
// a row.
#pragma once

#include "storage/base/result.h"

#include <cerrno>
#include <string_view>

namespace millrace {

inline constexpr int transient_retries_max = 100;

// Whether the same call may simply be made again.
bool errno_is_transient(int error);

Errc errc_from_errno(int error);

// "write topics/ab/0/00.segment at 4096: No space left on device (ENOSPC)"; the limits on
// descriptors say what to raise.
Error error_from_errno(int error, std::string_view call, std::string_view what);

// Makes `call` (returning -1 and setting errno on failure, as system calls do) until it succeeds,
// fails for good or the retries are used up. Answers its value; errno is the last one.
template <class Call>
auto retry_transient(Call call) {
  auto result = call();
  for (int retries = 0; result < 0 && errno_is_transient(errno) && retries < transient_retries_max;
       ++retries) {
    result = call();
  }
  return result;
}

}  // namespace millrace
