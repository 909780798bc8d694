// A directory of this test alone, removed with all its contents at the end.
#pragma once

#include <string>
#include <string_view>

namespace millrace::test {

class TempDir {
 public:
  TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir();

  const std::string& path() const { return path_; }
  // A path inside it; nothing is made.
  std::string operator/(std::string_view name) const { return path_ + "/" + std::string(name); }

 private:
  std::string path_;
};

}  // namespace millrace::test
