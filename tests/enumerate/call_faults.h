// The n-th call fails: a workload runs while one call of one kind is answered with an error, once
// or from then on for ever. Then the faults are lifted, and
//
//   a program that runs and does not ask for a restart takes new work and acks it;
//   after the power was lost, and after an orderly stop, everything that was acked is there, what
//   was refused is not, and new work is acked and stays.
//
// Nothing may go on for ever meanwhile, and no request may stay without an answer.
#pragma once

#include "tests/enumerate/machine.h"
#include "tests/enumerate/workers.h"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::test {

// What the disk may answer: its errors are few, because storage/io maps all numbers of the system
// to them, retries what is transient, and continues what is short (storage/io/errno_map.h).
inline constexpr std::array fault_errors{Errc::storage_error, Errc::storage_full, Errc::overloaded};
bool can_answer(sim::Call call, Errc error);

struct CallFault {
  enum class End {
    power,  // the faults last until the workload's end, where the power goes
    stop,   // until there, and the end is orderly
    lift,   // until the first stop after they hit, where the program has to show that it is alive
  };
  sim::Call call{};
  Errc error{};
  std::uint64_t nth = 1;
  bool for_ever = false;
  End end = End::power;
};

// WORKLOAD SEED CALL:ERROR:NTH:(once|ever):(power|stop|lift), which repeats it.
std::string to_string(const std::string& workload, std::uint64_t seed, const CallFault& fault);
CallFault parse_call_fault(const std::string& text);

// How many calls of each kind a workload makes without faults.
std::array<std::uint64_t, sim::call_kinds> calls_of(const Workload& workload, std::uint64_t seed);

struct FaultOutcome {
  std::uint64_t faults_hit = 0;
  std::vector<std::uint16_t> sites;  // calls that were answered with it
  bool resumed = false;              // it was asked to show that it is alive without a restart
};
// Throws Broken.
FaultOutcome run_with_fault(const Workload& workload, std::uint64_t seed, const CallFault& fault);

}  // namespace millrace::test
