#include "broker/daemon/ephemeral_directory.h"

#include "storage/base/diag.h"

#include <fmt/core.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <utility>

namespace millrace {

Result<EphemeralDirectory> EphemeralDirectory::make() {
  const char* parent = std::getenv("TMPDIR");
  std::string path =
      fmt::format("{}/millrace-XXXXXX", parent != nullptr && *parent != '\0' ? parent : "/tmp");
  if (mkdtemp(path.data()) == nullptr)
    return fail(Errc::data_dir_refused,
                fmt::format("cannot make a temporary directory {}: {}; name a place that can be "
                            "written with TMPDIR, or use --data-dir",
                            path, std::strerror(errno)));
  EphemeralDirectory out;
  out.path_ = std::move(path);
  return out;
}

EphemeralDirectory::EphemeralDirectory(EphemeralDirectory&& other) noexcept
    : path_(std::exchange(other.path_, {})) {}

EphemeralDirectory& EphemeralDirectory::operator=(EphemeralDirectory&& other) noexcept {
  std::swap(path_, other.path_);
  return *this;
}

EphemeralDirectory::~EphemeralDirectory() {
  if (path_.empty()) return;
  std::error_code error;
  std::filesystem::remove_all(path_, error);
  if (error)
    diag::warn("daemon", "cannot remove the temporary directory {}: {}", path_, error.message());
}

}  // namespace millrace
