#include "storage/io/errno_map.h"

#include <fmt/core.h>
#include <sys/resource.h>

#include <cstring>

namespace millrace {
namespace {

// What the operator can do about errors whose own text does not say it.
std::string advice_for(int error) {
  if (error == EMFILE) {
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    return fmt::format(
        "; this process may have {} files open at once (RLIMIT_NOFILE): raise it with ulimit -n or "
        "LimitNOFILE=",
        static_cast<unsigned long long>(limit.rlim_cur));
  }
  if (error == ENFILE)
    return "; the system may have no more files open at once: raise the sysctl fs.file-max";
  if (error == EFBIG)
    return "; a file may not grow past RLIMIT_FSIZE (ulimit -f) or the file system's limit";
  return {};
}

}  // namespace

bool errno_is_transient(int error) { return error == EINTR || error == EAGAIN || error == EBUSY; }

Errc errc_from_errno(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG: return Errc::storage_full;
    case ENOENT: return Errc::not_found;
    case EEXIST: return Errc::already_exists;
    // Nothing is wrong with the disk: the same call may pass when descriptors are free again.
    case EMFILE:
    case ENFILE: return Errc::overloaded;
    default: return Errc::storage_error;
  }
}

Error error_from_errno(int error, std::string_view call, std::string_view what) {
  char buffer[128];
  // The GNU variant: answers the text, which may or may not be in `buffer`.
  const char* text = strerror_r(error, buffer, sizeof buffer);
  const char* name = strerrorname_np(error);
  return Error{errc_from_errno(error),
               fmt::format("{} {}: {} ({}){}", call, what, text, name != nullptr ? name : "?",
                           advice_for(error))};
}

}  // namespace millrace
