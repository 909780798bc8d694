// What a run of the simulator did, in numbers: one map of named counters, added up over seeds and
// printed as JSON for the ledger.
//
//   rows      how often a row of the fault catalogue came up (ST-01, PS-07, ...)
//   faults    injected faults by kind
//   work      operations, crashes, batches and the like
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace millrace::sim {

class Counts {
 public:
  void row(std::string_view id, std::uint64_t n = 1) { add(rows_, id, n); }
  void fault(std::string_view kind, std::uint64_t n = 1) { add(faults_, kind, n); }
  void work(std::string_view what, std::uint64_t n = 1) { add(work_, what, n); }
  void add(const Counts& other);

  std::uint64_t work_of(std::string_view what) const;
  std::uint64_t row_of(std::string_view id) const;
  std::uint64_t faults_total() const;
  // {"work":{...},"faults":{...},"rows":{...}} without the braces around.
  std::string json_members() const;

 private:
  using Map = std::map<std::string, std::uint64_t, std::less<>>;
  static void add(Map& map, std::string_view key, std::uint64_t n);
  Map rows_, faults_, work_;
};

}  // namespace millrace::sim
