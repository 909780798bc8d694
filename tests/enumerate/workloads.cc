// The workloads. Together they reach every place where the product calls the disk, the places that
// are only reached when a call before them failed included (disk_sites.h tells which).
#include "tests/enumerate/log_machine.h"
#include "tests/enumerate/shard_machine.h"

#include <stdexcept>

namespace millrace::test {
namespace {

using sim::Call;
using sim::CrashPolicy;

sim::SimDisk::Fault fault(Call call, Errc error, std::uint64_t nth = 1, std::string path = {}) {
  return {.call = call, .error = error, .nth = nth, .for_ever = false, .path = std::move(path)};
}

// -- one log
// ------------------------------------------------------------------------------------------------

void appends(LogMachine& m) {
  m.open();
  m.put(700);
  m.put(5000, 2);
  m.put_together(900, 4);
  m.wait(seconds(2));  // an idle checkpoint
  m.put(13'000, 3);    // rolls, seals, writes an index
  m.read_all();
  m.put_together(6000, 6);  // one commit over the end of a segment
  m.close();
}

void sessions(LogMachine& m) {
  m.open();
  for (std::uint64_t i = 0; i < 3; ++i) {
    m.send(7, i);
    m.send(8, i);
  }
  m.wait(seconds(2));
  m.send(7, 3);
  m.close();
  m.open();
  m.send(8, 3);
  m.put(9000, 4);
  m.close();
}

void retention(LogMachine& m) {
  m.open();
  m.put(9000, 9);  // into the pool
  m.retire();
  m.put(9000, 7);  // out of it again
  m.retire();
  m.close();
  m.open();  // finds what the pool holds
  m.put(9000, 5);
  m.retire();
  m.close();
  m.limit_pool(0);
  m.open();  // and gives up what it may not keep any more
  m.close();
}

void trims(LogMachine& m) {
  m.open();
  m.put(7000, 7);
  m.trim(Offset{2});
  m.put(700, 2);
  m.trim(Offset{6});
  m.find_time();
  m.close();
  m.open();
  m.read_all();
  m.find_time();
  m.trim(Offset{9});
  m.close();
}

void truncations(LogMachine& m) {
  m.open();
  m.put(700, 3);
  m.put(9000, 3);
  m.truncate(Offset{5});  // inside the newest segment, at a block's border
  m.put(5000);
  m.truncate(Offset{2});  // in the first, inside a block
  m.put(2000, 2);
  m.truncate(Offset{0});  // nothing is left
  m.put(2000, 2);
  m.close();
}

// Starts as after crashes: torn tails, a start that is further than the files.
void recoveries(LogMachine& m) {
  m.open();
  m.put(700, 2);
  m.put_together(3000, 3);
  m.cut_power(CrashPolicy::kill());
  m.open();
  m.put(9000, 4);
  m.trim(Offset{6});
  m.cut_power(CrashPolicy::all());
  m.open();
  m.put(500);
  m.start_commit(6000, 1);
  m.cut_power(CrashPolicy::tear(9));
  m.open();
  m.put(500);
  m.close();
}

// Commits of four batches of which the last is torn, so that the tail ends inside a block; then the
// first, so that it ends at a block's border with whole batches behind it.
void torn_tails(LogMachine& m) {
  m.open();
  m.put(700, 2);
  for (const std::uint64_t sector : {std::uint64_t{20}, std::uint64_t{0}}) {
    m.start_commit(3000, 4);
    m.cut_power(CrashPolicy::tear(sector));
    m.open();
    m.put(700);
  }
  m.truncate(Offset{0});
  m.start_commit(3000, 4);
  m.cut_power(CrashPolicy::tear(0));
  m.open();
  m.put(700);
  m.close();
}

// A file of another log under a name of ours, and a checkpoint of which nothing is left.
void foreign_segment(LogMachine& m) {
  m.open();
  m.put(9000, 5);
  m.close();
  if (m.lost() || m.storage().files_ending(".segment").empty()) return;
  const auto file = m.disk().read_file(m.storage().segment_path(0));
  m.disk().write_file(m.storage().path("00000000000000000900.segment"), file);
  m.disk().write_file(m.storage().path("checkpoint"), Bytes(8192));
  m.open();
  m.put(700, 2);
  m.close();
}

// The disk is full at each step of an append, then of a roll; an index and checkpoints that cannot
// be written; a truncation and a recovery that are cut short.
void full_disk(LogMachine& m) {
  m.open();
  m.put(3000, 2);
  m.inject(fault(Call::synced_write, Errc::storage_full, 1, ".segment"));
  m.put(3000, 2);
  m.inject(fault(Call::preallocate, Errc::storage_full));
  m.put(9000, 2);
  m.inject(fault(Call::rename, Errc::storage_full, 1, "pool/"));
  m.put(9000, 3);
  m.inject(fault(Call::open, Errc::overloaded, 1, "pool/"));
  m.put(9000, 3);
  m.inject(fault(Call::write, Errc::storage_full, 1, ".index"));
  m.put(9000, 4);
  m.inject(fault(Call::synced_write, Errc::storage_full, 1, "checkpoint"));
  m.trim(Offset{3});
  m.put(3000);
  m.inject(fault(Call::rename, Errc::storage_full, 1, ".segment"));
  m.retire();
  m.put(3000);
  m.put(9000, 8);
  m.inject(fault(Call::rename, Errc::storage_full, 1, ".moving"));
  m.retire();
  m.close();
}

void failing_files(LogMachine& m) {
  m.open();
  m.put(9000, 4);
  m.inject(fault(Call::read, Errc::storage_error, 1, ".index"));
  m.read_all();
  m.inject(fault(Call::file_size, Errc::storage_error, 1, ".index"));
  m.restart();
  m.read_all();
  m.inject(fault(Call::read, Errc::storage_error, 2, ".segment"));
  m.truncate(Offset{1});
  m.restart();
  m.put(3000, 2);
  m.read_all();
  m.inject(fault(Call::read, Errc::storage_error, 1, ".segment"));
  m.read_all();
  m.lie();
  m.read_all();
  m.stop_lying();
  m.restart();
  m.inject(fault(Call::file_size, Errc::storage_error, 1, ".segment"));
  m.restart();
  m.inject(fault(Call::sync_data, Errc::storage_error, 1, ".segment"));
  m.put(700);
  m.cut_power(CrashPolicy::kill());
  m.open();
  m.inject(fault(Call::synced_write, Errc::storage_error, 1, ".segment"));
  m.put(3000, 2);
  m.inject(fault(Call::sync_data, Errc::storage_error, 1, ".segment"));
  m.cut_power(CrashPolicy::kill());
  m.open();
  m.close();
  m.open();
  m.put(700);
  m.cut_power(CrashPolicy::none());
  m.inject(fault(Call::sync_data, Errc::storage_error, 1, ".segment"));
  m.open();
  m.restart();
  m.close();
}

// Recovery meets damage before the end. (In the last commit, which nobody vouches for, it would be
// taken for torn.)
void damaged_recovery(LogMachine& m) {
  m.open();
  m.put(700, 3);
  if (!m.is_open() || m.end() < Offset{2}) return;
  m.lie();
  m.cut_power(CrashPolicy::kill());
  m.open();
  m.put(700);
  m.restart();
  m.stop_lying();
  m.restart();
  m.put(700);
  m.close();
}

// -- a shard
// ------------------------------------------------------------------------------------------------

void topics(ShardMachine& m) {
  m.open();
  m.create("orders", 2);
  m.produce("orders", 0, 300, 2);
  m.produce("orders", 1, 3000, 2);
  m.create("audit");
  m.produce("audit", 0, 300);
  m.remove("orders");
  m.wait(seconds(1));
  m.create("orders");
  m.produce("orders", 0, 300, 2);
  m.stop();
}

void same_name(ShardMachine& m) {
  m.open();
  m.create("orders");
  m.produce("orders", 0, 3000, 2);
  m.replace("orders", 2);
  m.produce("orders", 1, 300);
  m.produce("orders", 0, 300);
  m.replace("orders");
  m.produce("orders", 0, 300, 2);
  m.wait(seconds(2));
  m.restart();
  m.remove("orders");
  m.stop();
}

void service(ShardMachine& m) {
  m.open();
  m.create("orders");
  m.produce("orders", 0, 7000, 8);  // rolls
  m.trim("orders", 3);
  m.fetch_all("orders");
  m.wait(seconds(70));  // retention's turn
  m.restart();
  m.fetch_all("orders");
  m.produce("orders", 0, 9000, 10);  // retention on a roll, segments from the pool
  m.trim("orders", 12);
  m.stop();
}

// A start that finds one copy of a topic's description damaged, both of another, and what was left
// of a creation and of a deletion.
void descriptions(ShardMachine& m) {
  m.open();
  m.create("orders");
  m.produce("orders", 0, 300, 2);
  m.create("audit", 2);
  m.produce("audit", 1, 300, 2);
  m.stop();
  if (m.lost()) return;
  const auto damage = [&](const std::string& file, bool is_one_of_two) {
    if (!m.disk().exists(file)) return;
    is_one_of_two ? m.disk().corrupt(file, 20, 0x40) : m.disk().cut_file(file, 9);
  };
  const std::string orders = m.directory_with_events("orders");
  const std::string audit = m.directory_with_events("audit");
  damage(orders + "/topic.meta.1", true);
  damage(audit + "/topic.meta.0", true);
  damage(audit + "/topic.meta.1", false);
  const std::string dead(32, 'd');
  m.disk().write_file("topics/" + dead + ".deleted/0/checkpoint", as_bytes("old"));
  m.disk().make_path("topics/" + dead + ".creating/0");
  m.open();
  m.produce("orders", 0, 300);
  m.produce("audit", 1, 300);
  m.stop();
}

void failing_topics(ShardMachine& m) {
  m.open();
  m.inject(fault(Call::synced_write, Errc::storage_full, 1, "topic.meta"));
  m.inject(fault(Call::close, Errc::storage_error, 1, "topic.meta"));
  m.create("orders");
  m.create("audit");
  m.produce("audit", 0, 300, 2);
  m.inject(fault(Call::rename, Errc::storage_error, 1, "topics/"));
  m.remove("audit");
  m.inject(fault(Call::read, Errc::storage_error, 1, "topic.meta"));
  m.inject(fault(Call::file_size, Errc::storage_error, 2, "topic.meta"));
  m.restart();
  m.produce("audit", 0, 300);
  m.inject(fault(Call::synced_write, Errc::storage_error, 1, ".segment"));
  m.produce("audit", 0, 300, 2);
  m.create("orders");
  m.produce("orders", 0, 300);
  m.stop();
}

// No room for the longer name of a deleted topic; then no block at all, and the pool gives back
// what it kept.
void full_topics(ShardMachine& m) {
  m.open();
  m.create("orders");
  m.produce("orders", 0, 300, 2);
  m.inject(fault(Call::rename, Errc::storage_full, 1, "topics/"));
  m.remove("orders");
  m.create("audit");
  m.produce("audit", 0, 7000, 12);
  m.trim("audit", 10);
  m.wait(seconds(2));
  m.inject(fault(Call::remove, Errc::storage_error, 2, "pool/"));
  if (!m.lost()) m.disk().set_capacity(m.disk().used_bytes());
  m.wait(seconds(2));
  if (!m.lost()) m.disk().set_capacity(sim::SimDisk::boundless);
  m.wait(seconds(2));
  m.produce("audit", 0, 300);
  m.stop();
}

template <void (*script)(LogMachine&)>
std::unique_ptr<Machine> log(std::uint64_t seed) {
  return std::make_unique<LogMachine>(seed, script);
}
template <void (*script)(ShardMachine&)>
std::unique_ptr<Machine> shard(std::uint64_t seed) {
  return std::make_unique<ShardMachine>(seed, script);
}

}  // namespace

void Machine::cut_power(const sim::CrashPolicy& policy) {
  if (lost()) return;
  lose_power(policy);
  if (on_power_back) on_power_back();
}

const std::vector<Workload>& workloads() {
  static const std::vector<Workload> all{
      {"log-appends", log<appends>},
      {"log-sessions", log<sessions>},
      {"log-retention", log<retention>},
      {"log-trims", log<trims>},
      {"log-truncations", log<truncations>},
      {"log-recoveries", log<recoveries>},
      {"log-torn-tails", log<torn_tails>},
      {"log-foreign-segment", log<foreign_segment>},
      {"log-full-disk", log<full_disk>},
      {"log-failing-files", log<failing_files>},
      {"log-damaged-recovery", log<damaged_recovery>},
      {"shard-topics", shard<topics>},
      {"shard-same-name", shard<same_name>},
      {"shard-service", shard<service>},
      {"shard-descriptions", shard<descriptions>},
      {"shard-failing-topics", shard<failing_topics>},
      {"shard-full-topics", shard<full_topics>},
  };
  return all;
}

const Workload& workload_named(const std::string& name) {
  std::string names;
  for (const auto& workload : workloads()) {
    if (workload.name == name) return workload;
    names += " " + workload.name;
  }
  throw std::invalid_argument("no workload is named " + name + "; there are:" + names);
}

}  // namespace millrace::test
