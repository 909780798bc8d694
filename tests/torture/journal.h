// What this process did and saw, as lines of a journal (tests/history/README.md has the format).
//
// Thread: any. write() is one system call for all its lines, so what a killed process had announced
// is in the file, and nothing is half there but perhaps the last line.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace millrace::torture {

// CLOCK_MONOTONIC, which all processes of a machine share.
std::int64_t now_ns();

class Journal {
 public:
  // Throws std::runtime_error: a journal is never written over.
  explicit Journal(const std::string& path);
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;
  ~Journal();

  // Whole lines. Ends the process if the file cannot be written: a history with holes is worthless.
  void write(std::string_view lines);

 private:
  int descriptor_ = -1;
};

}  // namespace millrace::torture
