// Machine with one log: every verb keeps the list of what was appended, acked, trimmed and cut.
#pragma once

#include "tests/enumerate/machine.h"
#include "tests/sim/sim_storage.h"
#include "tests/support/batch_maker.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace millrace::test {

class LogMachine final : public Machine {
 public:
  using Script = void (*)(LogMachine&);
  LogMachine(std::uint64_t seed, Script script);

  // -- Machine
  sim::SimDisk& disk() override { return storage_.disk(); }
  void run() override { script_(*this); }
  Result<void> start() override;
  void check() override;
  void live_on() override;
  void stop() override { close(); }
  void lose_power(const sim::CrashPolicy& policy) override;
  std::unique_ptr<Machine> fork(std::uint64_t seed, sim::SimImage image) const override;
  void tolerate_faults() override { tolerant_ = true; }
  bool wants_restart() override;
  void resume() override;

  // -- verbs of scripts; none does anything once the power is gone or the log is down
  void open();
  void close();
  void put(std::size_t batch_bytes, int count = 1);       // each a commit of its own
  void put_together(std::size_t batch_bytes, int count);  // one commit
  void start_commit(std::size_t batch_bytes, int count);  // and not wait for it
  void send(std::uint64_t producer, std::uint64_t sequence);
  void trim(Offset start);
  void truncate(Offset end);
  void retire();
  void read_all();  // from disk, so that indexes are loaded or rebuilt
  void find_time();
  void wait(Duration time);
  // From the next open on.
  void limit_pool(std::uint64_t bytes) { storage_.options().pool_bytes = bytes; }
  // Faults that belong to the script: from now on the disk may refuse.
  void inject(const sim::SimDisk::Fault& fault);
  void lift_faults();
  void restart();
  // The device gives back one byte of the oldest segment wrongly, for a while.
  void lie();
  void stop_lying();

  sim::SimStorage& storage() { return storage_; }
  Offset end() { return storage_.log().durable_end(); }
  bool is_open() const { return storage_.is_open(); }

 private:
  struct Sent {
    OffsetRange offsets;
    Bytes bytes;
  };
  // What was promised to whom, across crashes.
  struct Promises {
    std::vector<Sent> batches;  // appended, oldest first; a suffix may not have survived
    Offset acked_end;           // on_durable said so
    Offset start;               // a trim or a look at start_offset() said so
    std::optional<Offset> cut;  // a truncation to here was asked for and not answered
    // Dropped by a truncation that did not succeed: they may come back until something else was
    // acked in their place.
    std::vector<Sent> doubtful;
  };

  bool idle() { return lost() || !storage_.is_open(); }
  void append(const Bytes& batch);
  void commit();
  void note();
  void look();
  void adopt();
  void cut_promises(Offset end);
  void after_refusal(Errc code);
  void turn_lie();
  void require(bool condition, const std::string& what);

  Script script_;
  sim::SimStorage storage_;
  Promises promises_;
  std::string lied_about_;  // a path; empty: nothing
  bool tolerant_ = false;
  int restarts_ = 0;
  std::uint64_t appended_ = 0;
};

}  // namespace millrace::test
