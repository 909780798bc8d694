// The broker's process as the simulation sees it: a Shard on the simulated disk, started, stopped,
// killed and started again. Its ports give every word to the observer first and then to the inbox
// of the client, who hears it later.
//
// Owner: Simulation. Thread: the only one. A loss of power ends the process: the old Shard is wound
// up without effect on the disk and nobody hears what it says.
#pragma once

#include "broker/shard.h"
#include "tests/sim/observer.h"
#include "tests/sim/sim_clock.h"
#include "tests/sim/sim_options.h"

#include <deque>
#include <functional>
#include <memory>
#include <set>

namespace millrace::sim {

class SimPorts final : public ClientPort, public LivePort {
 public:
  SimPorts(SimDisk& disk, Observer& observer) : disk_(disk), observer_(observer) {}
  SendResult send(ClientHandle client, Reply& reply) override;
  void publish(std::string_view topic, PartitionIndex partition, const Buffer& batch) override;

  struct Heard {
    ClientHandle client;
    Reply reply;
  };
  std::deque<Heard> inbox;
  std::set<ClientHandle> gone, busy;
  // Read again since the last turn: what waits for them goes out in the next one, and an answer
  // before that goes behind it, or is dropped when too much waits.
  std::set<ClientHandle> draining;
  // Clients whose answers waited in this life of the process, and are not news when they come.
  std::set<ClientHandle> late;
  bool is_deaf = false;  // the process is being wound up

  // Whether what is asked now may stay without an answer (PR-14).
  bool may_drop(ClientHandle client) const {
    return busy.contains(client) || draining.contains(client);
  }

 private:
  SimDisk& disk_;
  Observer& observer_;
};

class SimProcess {
 public:
  SimProcess(const SimOptions& options, SimDisk& disk, SimClock& clock, Observer& observer);
  ~SimProcess();

  // -- life. Answers timed_out when it does not come to an end.
  Result<void> start();
  // The orderly end; clients are answered.
  bool stop();
  // After a loss of power, or with one now: no effect, nobody hears.
  bool wind_up();
  bool runs() const { return running_ != nullptr; }

  // -- the turn
  void turn();
  bool run_until(const std::function<bool()>& condition, Duration patience);
  // Turns, and time where nothing else happens, for so long.
  void advance(Duration passed);

  Shard& shard() { return running_->shard; }
  SimPorts& ports() { return ports_; }

 private:
  struct Running {
    Running(SimProcess& p);
    Timers timers;
    ShardMetrics metrics;
    Shard shard;
  };
  bool is_idle() const { return disk_.in_flight() == 0 && !more_; }

  const SimOptions& options_;
  SimDisk& disk_;
  SimClock& clock_;
  Random random_;
  SlabPool slabs_;
  SimPorts ports_;
  ClusterId cluster_id_;
  std::unique_ptr<Running> running_;
  bool more_ = false;
};

}  // namespace millrace::sim
