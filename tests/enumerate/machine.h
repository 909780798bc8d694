// A machine with one program of ours on a simulated disk, a short workload for it, and what was
// promised to its clients meanwhile: what the enumerations drive.
//
//   run()            the workload, on an empty disk; ends quietly when the power goes
//   start() check()  after a loss of power: recovery, then every promise is compared with what is
//                    there. What survived beyond the promises is promised from now on
//   fork()           another machine to which the same was promised, on another medium: from one
//                    moment many losses of power are tried
//
// A broken promise is thrown as Broken. With tolerate_faults the disk may refuse while run() goes
// on: then what is refused is not promised, and nothing else changes. Thread: one.
#pragma once

#include "storage/base/result.h"
#include "tests/sim/sim_disk.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace millrace::test {

class Broken : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class Machine {
 public:
  virtual ~Machine() = default;

  virtual sim::SimDisk& disk() = 0;
  virtual void run() = 0;
  // Errors: what the program said; any error once the power is gone.
  virtual Result<void> start() = 0;
  virtual void check() = 0;
  // The program is alive: new work is done and acked.
  virtual void live_on() = 0;
  // The orderly end. May be called on a program that is not running.
  virtual void stop() = 0;
  // The power goes, unless it has gone; the dead process is wound up and the power is back.
  virtual void lose_power(const sim::CrashPolicy& policy) = 0;
  virtual std::unique_ptr<Machine> fork(std::uint64_t seed, sim::SimImage image) const = 0;
  virtual void tolerate_faults() = 0;
  // Whether the running program says that only a restart will make it whole again.
  virtual bool wants_restart() = 0;
  // The faults are lifted and the program runs on: new work is acked without a restart.
  virtual void resume() = 0;
  // Called before the script stops a running program.
  std::function<void()> before_stop;

  bool lost() { return !disk().has_power(); }

  // A loss of power that belongs to the script. Afterwards `on_power_back` is called, for whoever
  // waits for another one.
  void cut_power(const sim::CrashPolicy& policy);
  std::function<void()> on_power_back;
};

// One short workload, by name. Makers are called with a seed.
struct Workload {
  std::string name;
  std::unique_ptr<Machine> (*make)(std::uint64_t seed);
};
const std::vector<Workload>& workloads();
// Throws std::invalid_argument for an unknown name.
const Workload& workload_named(const std::string& name);

}  // namespace millrace::test
