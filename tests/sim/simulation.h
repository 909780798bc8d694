// One seed: a broker, its clients, a disk and a clock, all driven by one Random, and the oracle
// that remembers every promise.
//
//   act      clients act, turns run, time passes, faults come and go, the process dies and starts
//   calm     faults off: every request is answered, a restart finds all that was promised
//   live     every partition takes and gives again, every producer gets to the end of its window
//   read     all of it, from disk, before and after one more loss of power
//
// The same options give the same run, to the last operation of the disk: digest() is equal.
#pragma once

#include "tests/sim/sim_client.h"
#include "tests/sim/sim_damage.h"
#include "tests/sim/sim_process.h"

#include <memory>
#include <vector>

namespace millrace::sim {

class Simulation final : public ClientHost {
 public:
  explicit Simulation(SimOptions sim_options);
  ~Simulation() override;

  void run();

  const std::optional<Finding>& finding() const { return oracle.finding(); }
  const Counts& counts() const { return oracle.counts; }
  std::uint64_t digest() const { return digest_; }
  // The newest steps and operations of the disk, for people.
  std::string story() const;

  std::uint64_t send(RequestRecord record, RequestBody body) override;

 private:
  // -- act
  void begin();
  void step();
  void act_client();
  void hear(std::size_t answers);
  void pass_time();
  void trouble();
  void trouble_disk(FaultClass fault);
  void lose_client();
  void set_watch();
  void end_trouble();

  // -- life of the process
  CrashPolicy any_policy();
  void die(const CrashPolicy& policy);
  void stop_and_start();
  void bury();
  void damage();

  void start();
  void on_started(std::uint64_t bytes_read);
  void count_torn();
  void describe_all();

  // -- calm, live, read
  void finish();
  void check_live();
  void drain_producers();
  void read_everything(bool healed);
  std::optional<ReplyBody> call(RequestRecord record, RequestBody body);
  void note(std::string text);
  void sync_clock() {
    oracle.now = clock_.now();
    wall_now = clock_.wall();
  }

  Random workload_, trouble_, disk_random_;
  SimDisk disk_;
  SimClock clock_;
  Observer observer_;
  SimProcess process_;
  SimDamage damage_;
  std::vector<std::unique_ptr<SimClient>> clients_;
  std::uint64_t next_request_ = 1, next_handle_ = 100;
  std::optional<std::uint64_t> called_;  // whose answer call() waits for
  std::optional<ReplyBody> answer_;
  std::uint64_t faults_before_ = 0;
  bool has_trouble_ = false;
  bool clock_was_set_ = false;
  std::uint64_t digest_ = 1469598103934665603ull;
  std::deque<std::string> story_;
};

}  // namespace millrace::sim
