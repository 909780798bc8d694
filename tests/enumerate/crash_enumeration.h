// Crash-point enumeration: the power goes at every operation of a workload, and of what was not
// durable then the medium keeps
//
//   every subset, when there are few; otherwise nothing, everything, every prefix in the order in
//   which the I/O was started, and a number of random subsets, every second of them with torn
//   sectors and garbage;
//   everything but one torn sector, for every sector;
//   and all of it, still not durable: the program was killed and the machine was not.
//
// Each such state is started; every promise is compared with what is there; the power goes again
// (any of what was not durable stays) and it is started and compared again; it takes new work,
// which must survive the next loss. Deeper, the power goes at every operation of the recovery, and
// of the recovery after that.
//
// A state is told by what leads to it: WORKLOAD SEED OPERATION:POLICY [OPERATION:POLICY ...], the
// second pair being about the recovery, and so on. That text repeats it.
#pragma once

#include "tests/enumerate/machine.h"
#include "tests/enumerate/workers.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace millrace::test {

struct CrashPoint {
  std::uint64_t operation = 0;  // of the workload, or of one start; 1 is the first
  sim::CrashPolicy policy;
  std::uint64_t draw = 0;  // which of the random subsets
};

struct CrashOptions {
  std::uint64_t seed = 1;
  unsigned subsets = 8;
  unsigned depth = 3;             // 1: no crash of a recovery
  std::uint64_t stride = 1;       // of the states of an operation beyond nothing, everything, kill
  std::uint64_t deep_stride = 1;  // of the workload's operations whose recovery is crashed as well
};

std::string to_string(const std::string& workload, std::uint64_t seed,
                      const std::vector<CrashPoint>& chain);

class CrashEnumeration {
 public:
  // Counters of a Worker: states by workload, then crashes by call site, then states by depth.
  static constexpr std::size_t workloads_at = 0, sites_at = 64, depths_at = 1000;

  CrashEnumeration(const CrashOptions& options, Worker* worker)
      : options_(options), worker_(worker) {}

  // All states of one operation of one workload, the deeper ones included. False: the workload ends
  // before that operation; the loss of power after its end was enumerated.
  bool enumerate(std::size_t workload, std::uint64_t operation);
  // The one state that this chain leads to.
  void replay(const Workload& workload, const std::vector<CrashPoint>& chain);

 private:
  // A moment at which the power went, with everything undecided.
  struct Moment {
    sim::SimImage medium;
    std::uint64_t items = 0, sectors = 0;
    std::optional<std::uint16_t> site;  // of the last operation
  };
  std::optional<Moment> run_to(Machine& machine, std::uint64_t operation,
                               const std::function<void()>& run);
  std::vector<CrashPoint> points(std::uint64_t operation, const Moment& moment) const;
  std::unique_ptr<Machine> fork(const Machine& machine, const Moment& moment,
                                const std::vector<CrashPoint>& chain) const;
  void examine(const Machine& machine, const Moment& moment, const std::vector<CrashPoint>& chain);
  void enumerate_recovery(const Machine& machine, const Moment& moment,
                          const std::vector<CrashPoint>& chain);
  void note(const Moment& moment);

  const CrashOptions options_;
  Worker* worker_;
  std::size_t workload_ = 0;
};

// Counts a workload's operations by running it.
std::uint64_t operations_of(const Workload& workload, std::uint64_t seed);

}  // namespace millrace::test
