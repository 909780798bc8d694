// A temporary data directory, removed with everything in it when its owner goes.
#pragma once

#include "storage/base/result.h"

#include <string>

namespace millrace {

class EphemeralDirectory {
 public:
  // Below TMPDIR, else /tmp. Errors: data_dir_refused.
  static Result<EphemeralDirectory> make();
  EphemeralDirectory() = default;
  EphemeralDirectory(EphemeralDirectory&& other) noexcept;
  EphemeralDirectory& operator=(EphemeralDirectory&& other) noexcept;
  ~EphemeralDirectory();

  // Empty: none was made.
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace millrace
