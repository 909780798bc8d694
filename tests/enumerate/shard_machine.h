// Machine with a whole shard: topics that come and go under the same name, producers with and
// without sessions, trims, retention.
//
// Every payload names the incarnation of its topic, its partition and its number, so an event in
// the wrong place is seen at once. Of each payload it is known whether it was acked (it is there,
// at its offset, once), refused (it is never there) or neither (it is there once or not, and when
// it was not there at a check, it never comes).
#pragma once

#include "broker/shard.h"
#include "tests/enumerate/machine.h"
#include "tests/sim/sim_clock.h"
#include "tests/support/batch_maker.h"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace millrace::test {

// What a reader gets to see of one partition, going on behind every named hole.
struct Observation {
  std::map<std::uint64_t, std::string> served;  // offset -> payload
  std::vector<OffsetRange> holes;               // as the errors named them
  std::uint64_t start = 0, end = 0;
  std::string refused;  // why nothing (more) can be read, or the topic is not there
  std::string state;    // as the broker tells it
};

// What an answer that should have been another one says, for a complaint.
std::string error_of(const std::optional<ReplyBody>& reply);
// Of a refusal.
std::optional<Errc> code_of(const std::optional<ReplyBody>& reply);

class ShardMachine final : public Machine {
 public:
  using Script = void (*)(ShardMachine&);
  ShardMachine(std::uint64_t seed, Script script);
  ~ShardMachine() override;

  // -- Machine
  sim::SimDisk& disk() override { return disk_; }
  void run() override { script_(*this); }
  Result<void> start() override;
  void check() override;
  void live_on() override;
  void stop() override;
  void lose_power(const sim::CrashPolicy& policy) override;
  std::unique_ptr<Machine> fork(std::uint64_t seed, sim::SimImage image) const override;
  void tolerate_faults() override { tolerant_ = true; }
  bool wants_restart() override;
  void resume() override;

  // -- verbs of scripts; none does anything once the power is gone or the shard is down
  void open();
  void restart();
  void create(const std::string& name, std::uint32_t partitions = 1);
  void remove(const std::string& name);
  // Both requests at once: the creation waits for the deletion.
  void replace(const std::string& name, std::uint32_t partitions = 1);
  // Partition 0 is written by a session, the others are not.
  void produce(const std::string& name, PartitionIndex partition = 0,
               std::size_t payload_bytes = 300, int count = 1);
  void trim(const std::string& name, std::uint64_t start, PartitionIndex partition = 0);
  void fetch_all(const std::string& name, PartitionIndex partition = 0);
  void wait(Duration time);
  void inject(const sim::SimDisk::Fault& fault);
  void lift_faults();
  // The directory of the topic that stands, if it has acked events; for scripts that damage files
  // of a stopped shard.
  std::string directory_with_events(const std::string& name);
  // For damage: nothing is promised and nothing is compared.
  Observation observe(const std::string& name, PartitionIndex index);
  // The offset of one more event; nothing when it was refused.
  std::optional<std::uint64_t> try_produce(const std::string& name, PartitionIndex index,
                                           std::string_view payload);
  const std::map<std::uint64_t, std::string>& acked(const std::string& name, PartitionIndex index);
  bool is_running() const { return process_ != nullptr; }

 private:
  struct Partition {
    std::map<std::uint64_t, std::string> acked;  // offset -> payload
    std::set<std::string> unknown, never;
    std::uint64_t start = 0, trim_asked = 0;
    std::uint64_t next_number = 0;
    // The session of partition 0.
    std::uint64_t next_sequence = 0;
    Bytes last_batch;  // the last one acked, at last_offset
    std::uint64_t last_offset = 0;
    Bytes pending_batch;  // sent and not answered: it is sent again before any other
    std::string pending;
  };
  enum class Fate { creating, stands, deleting, gone };
  struct Incarnation {
    std::uint64_t number = 0;
    Fate fate = Fate::creating;
    TopicId id;
    std::map<PartitionIndex, Partition> partitions;
  };
  struct Process;
  class Clients;
  class Live;

  bool idle() { return lost() || process_ == nullptr; }
  void turn();
  bool run_until(const std::function<bool()>& condition);
  void settle();
  std::uint64_t send(RequestBody body);
  std::optional<ReplyBody> answer(std::uint64_t id);  // nothing: the power went
  std::optional<ReplyBody> call(RequestBody body) { return answer(send(std::move(body))); }

  Incarnation& begin(const std::string& name, std::uint32_t partitions);
  Incarnation* standing(const std::string& name);
  void created(const std::string& name, Incarnation& topic, const std::optional<ReplyBody>& reply);
  void removed(Incarnation& topic, const std::optional<ReplyBody>& reply);
  void produce_one(const std::string& name, Incarnation& topic, PartitionIndex index,
                   std::size_t payload_bytes);
  void produced(Partition& partition, const std::string& payload, const Bytes& batch,
                bool in_session, const std::optional<ReplyBody>& reply);
  void check_name(const std::string& name, std::vector<Incarnation>& all);
  void check_partition(const std::string& name, Incarnation& topic, PartitionIndex index,
                       const PartitionInfo& info);
  void check_session(const std::string& name, Partition& partition);
  std::vector<std::string> read(const std::string& name, PartitionIndex index, std::uint64_t from,
                                std::uint64_t end);
  void wind_up();
  void require(bool condition, const std::string& what);

  Script script_;
  Random random_;
  sim::SimDisk disk_;
  sim::SimClock clock_;
  std::unique_ptr<Process> process_;
  std::map<std::string, std::vector<Incarnation>> topics_;  // by name, oldest first
  std::uint64_t next_incarnation_ = 1;
  std::uint64_t next_request_ = 1;
  bool more_ = false;
  bool tolerant_ = false;
  bool may_have_twins_ = false;  // a creation was refused
  int restarts_ = 0;
};

}  // namespace millrace::test
