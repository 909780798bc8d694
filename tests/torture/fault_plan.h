// Which I/O of the cut disk fails, and how: rules that are tried in the order in which they were
// given.
//
//   KIND ERROR CHANCE BEGIN END COUNT
//   write EIO 1000 0 18446744073709551615 1        the next write, wherever it goes
//   flush ENOSPC 100 0 18446744073709551615 0      one flush of ten
//
// CHANCE is of a thousand, [BEGIN, END) are bytes of the disk, COUNT is how often the rule applies
// (0: until lifted).
#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::torture {

enum class DiskCall : std::uint8_t { read, write, flush };

class FaultPlan {
 public:
  // The words of one rule. Throws std::invalid_argument.
  void add(std::span<const std::string> words);
  void lift() { rules_.clear(); }
  // 0: it goes well; else a number of errno.
  int decide(DiskCall call, std::uint64_t position, std::uint64_t bytes, std::mt19937_64& random);
  std::uint64_t injected() const { return injected_; }

 private:
  struct Rule {
    DiskCall call = DiskCall::read;
    int error = 0;
    std::uint64_t chance = 0, begin = 0, end = 0, count = 0;
    std::uint64_t applied = 0;
  };
  std::vector<Rule> rules_;
  std::uint64_t injected_ = 0;
};

}  // namespace millrace::torture
