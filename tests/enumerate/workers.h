// Work that is shared out among child processes, so that a program that breaks an invariant, or
// goes on for ever, ends its child alone and is told with the line that repeats it.
//
// Items are numbered and handed out one by one. Counters live in shared memory and are summed. A
// child that does not call at_work for two minutes is ended by its own alarm. The first failure
// ends all work. Thread: one.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::test {

inline constexpr std::size_t worker_counters = 1024;

// A child's view.
class Worker {
 public:
  // What is being tried now: the arguments that repeat it.
  void at_work(std::string_view now);
  void count(std::size_t counter, std::uint64_t by = 1);
  bool others_failed() const;

  struct Shared;
  Worker(Shared& shared, std::size_t index) : shared_(shared), index_(index) {}

 private:
  Shared& shared_;
  std::size_t index_;
};

struct WorkDone {
  std::vector<std::uint64_t> counters;  // sums over the children
  std::string failure;                  // empty: none
  std::string at;                       // what was being tried when it failed
};

// `item(worker, number)` for every number below `items`; what it throws is a failure.
WorkDone share_work(unsigned jobs, std::uint64_t items,
                    const std::function<void(Worker&, std::uint64_t)>& item);

}  // namespace millrace::test
