// One offline look at a data directory: what every check writes its findings to, and how deep it
// goes.
#pragma once

#include "storage/base/ids.h"
#include "storage/inspect/report.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace millrace::inspect {

enum class Depth {
  describe,  // headers, checkpoints, indexes; only the newest segment of a partition is walked
  verify,    // every byte that counts
};

struct ProgressPoint {
  std::string file;
  std::uint64_t bytes = 0;  // read so far, of all files
};
// Answers false to stop early.
using ProgressSink = std::function<bool(const ProgressPoint&)>;

class Inspection {
 public:
  Inspection(std::string root, Depth how_deep, ProgressSink progress)
      : depth(how_deep), root_(std::move(root)), progress_(std::move(progress)) {}

  const Depth depth;
  DirectoryReport report;

  std::string full_path(const std::string& file) const { return root_ + "/" + file; }

  void fault(const std::string& file, std::string text) {
    report.faults.push_back({file, {}, {}, {}, std::move(text)});
  }
  void fault(const std::string& file, std::uint64_t position, std::string text) {
    report.faults.push_back({file, position, {}, {}, std::move(text)});
  }
  // An empty range names no offsets.
  void fault(const std::string& file, std::optional<std::uint64_t> position, OffsetRange offsets,
             std::string text) {
    if (offsets.empty()) {
      report.faults.push_back({file, position, {}, {}, std::move(text)});
    } else {
      report.faults.push_back(
          {file, position, offsets.begin.value, offsets.end.value, std::move(text)});
    }
  }
  void note(const std::string& file, std::string text) {
    report.notes.push_back({file, {}, {}, {}, std::move(text)});
  }
  void note(const std::string& file, std::uint64_t position, std::uint64_t offset,
            std::string text) {
    report.notes.push_back({file, position, offset, {}, std::move(text)});
  }

  // `bytes` more of `file` were read.
  void advance(const std::string& file, std::uint64_t bytes) {
    bytes_ += bytes;
    if (progress_ && !progress_({file, bytes_})) stopped_ = true;
  }
  bool stopped() const { return stopped_; }

 private:
  std::string root_;
  ProgressSink progress_;
  std::uint64_t bytes_ = 0;
  bool stopped_ = false;
};

}  // namespace millrace::inspect
