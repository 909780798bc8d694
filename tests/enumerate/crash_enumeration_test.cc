// A small part of what millrace-crash-points does, in one process, and whether the comparison
// notices broken promises at all.
#include "tests/enumerate/crash_enumeration.h"

#include "tests/enumerate/disk_sites.h"
#include "tests/enumerate/log_machine.h"
#include "tests/enumerate/shard_machine.h"

#include <catch2/catch.hpp>

#include <set>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

namespace {

// Every `step`th operation of the workloads whose names begin so.
std::size_t enumerate(const std::string& prefix, const CrashOptions& options, std::uint64_t step) {
  std::size_t crash_points = 0;
  for (std::size_t w = 0; w < workloads().size(); ++w) {
    if (!workloads()[w].name.starts_with(prefix)) continue;
    const auto operations = operations_of(workloads()[w], options.seed) + 1;
    for (std::uint64_t at = 1; at <= operations; at += step) {
      INFO(to_string(workloads()[w].name, options.seed, {{at, CrashPolicy::none(), 0}}));
      REQUIRE_NOTHROW(CrashEnumeration(options, nullptr).enumerate(w, at));
      ++crash_points;
    }
  }
  return crash_points;
}

void appends(LogMachine& m) {
  m.open();
  m.put(3000, 3);
  m.close();
}

void one_topic(ShardMachine& m) {
  m.open();
  m.create("orders");
  m.produce("orders", 0, 300, 3);
  m.stop();
}

// What is told when this happens to the medium behind the program's back.
template <class M, class Script, class Damage>
std::string told_after(Script script, Damage damage) {
  M machine(1, script);
  machine.run();
  machine.lose_power(CrashPolicy::none());
  damage(machine.disk());
  REQUIRE(machine.start());
  std::string told;
  try {
    machine.check();
  } catch (const Broken& broken) {
    told = broken.what();
  }
  machine.stop();
  return told.substr(0, told.find('\n'));
}

std::string first_name(SimDisk& disk, const std::string& directory, std::string_view suffix) {
  for (const auto& name : disk.names(directory)) {
    if (name.ends_with(suffix)) return directory + "/" + name;
  }
  FAIL("nothing in " << directory << " ends with " << suffix);
  return {};
}

}  // namespace

TEST_CASE("ST-24 ST-25 a crash at every operation of a log's life keeps every promise") {
  REQUIRE(enumerate("log-", {.subsets = 2, .depth = 1, .stride = 1000}, 1) > 1000);
}

TEST_CASE("ST-26 ST-27 ST-30 a crash at the operations of a shard's life keeps every promise") {
  REQUIRE(enumerate("shard-", {.subsets = 2, .depth = 1, .stride = 1000}, 3) > 200);
}

TEST_CASE("ST-39 crashes during recovery, three deep, keep every promise") {
  REQUIRE(enumerate("log-", {.seed = 2, .subsets = 2, .depth = 3, .stride = 1000}, 41) > 20);
}

TEST_CASE("a state is repeated by what leads to it") {
  CrashEnumeration again({.seed = 1}, nullptr);
  again.replay(workload_named("log-retention"),
               {{60, CrashPolicy::torn(), 3}, {12, CrashPolicy::prefix(2), 0}});
  again.replay(workload_named("shard-topics"), {{100'000, CrashPolicy::none(), 0}});
  REQUIRE(to_string("log-trims", 4, {{60, CrashPolicy::torn(), 3}, {2, CrashPolicy::tear(5), 0}}) ==
          "log-trims 4 60:torn-3 2:tear-5");
  REQUIRE_THROWS_AS(workload_named("log"), std::invalid_argument);
}

TEST_CASE("the calls of the disk in the sources are known, each by its place") {
  std::set<std::string> names;
  for (const auto* site : disk_sites()) names.insert(site->to_string());
  REQUIRE(names.size() == disk_sites().size());
  REQUIRE(names.size() > 90);
}

TEST_CASE("a promise that is not kept is noticed") {
  const std::string log = "topics/orders/0";
  CHECK(told_after<LogMachine>(appends, [](SimDisk&) {}) == "");
  CHECK(told_after<LogMachine>(appends, [&](SimDisk& disk) {
          const auto path = first_name(disk, log, ".segment");
          disk.remove_file(log + "/checkpoint");
          disk.cut_file(path, 2 * 4096);
        }).starts_with("acked events are gone"));
  CHECK(told_after<LogMachine>(appends, [&](SimDisk& disk) {
          disk.corrupt(first_name(disk, log, ".segment"), 4096 + 200, 1);
        }) == "a hole after a crash");
  CHECK(told_after<ShardMachine>(one_topic, [](SimDisk&) {}) == "");
  CHECK(told_after<ShardMachine>(one_topic, [](SimDisk& disk) {
          const auto topic = "topics/" + disk.names("topics").front();
          disk.rename_file(topic, "elsewhere");
        }) == "an acked topic is gone: orders");
  CHECK(told_after<ShardMachine>(one_topic, [](SimDisk& disk) {
          disk.remove_file("topics/" + disk.names("topics").front() + "/0/checkpoint");
          disk.remove_file(
              first_name(disk, "topics/" + disk.names("topics").front() + "/0", ".segment"));
        }).starts_with("orders/0: acked events are gone"));
}
