#include "directory_access.h"

#include <fmt/format.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace millrace::cli {

std::optional<std::string> no_access(const std::string& directory) {
  for (const std::string& path :
       {directory, directory + "/identity", directory + "/topics", directory + "/lock"}) {
    struct stat status = {};
    const bool is_there = ::stat(path.c_str(), &status) == 0;
    const bool is_directory = is_there && S_ISDIR(status.st_mode);
    if (is_there ? ::access(path.c_str(), is_directory ? R_OK | X_OK : R_OK) == 0 : errno != EACCES)
      continue;
    const auto* owner = is_there ? ::getpwuid(status.st_uid) : nullptr;
    return fmt::format("{}: {}; run this as the user of the broker{}", path, std::strerror(EACCES),
                       owner == nullptr ? "" : fmt::format(": sudo -u {} ...", owner->pw_name));
  }
  return std::nullopt;
}

}  // namespace millrace::cli
