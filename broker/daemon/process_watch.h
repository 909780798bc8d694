// What the whole process takes of the machine: resident memory and descriptors. Limits inside the
// broker bound what it keeps on purpose; this sees the rest, such as messages that a peer begins
// and never ends, and says so before the system does (PR-07, PR-19).
//
// Owner: main, whose thread looks once a second. read_process_status: any thread.
#pragma once

#include <cstdint>

namespace millrace {

struct ProcessStatus {
  std::uint64_t resident_bytes = 0;
  // The lowest number that is free: so many are open at least.
  std::uint64_t descriptors = 0;
  std::uint64_t descriptors_max = 0;
};

ProcessStatus read_process_status();

class ProcessWatch {
 public:
  // Warns when more is resident than `resident_warn_bytes` (0: never), and when more than 80 % of
  // the descriptors are open; once each, and again after it was fine in between.
  explicit ProcessWatch(std::uint64_t resident_warn_bytes)
      : resident_warn_bytes_(resident_warn_bytes) {}
  void look();

 private:
  const std::uint64_t resident_warn_bytes_;
  bool told_of_memory_ = false, told_of_descriptors_ = false;
};

}  // namespace millrace
