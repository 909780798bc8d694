// millrace-crash-points: enumerates losses of power (crash_enumeration.h) over all workloads, and
// shows that each place where the product calls the disk was crashed at.
#include "storage/base/diag.h"
#include "tests/enumerate/crash_enumeration.h"
#include "tests/enumerate/disk_sites.h"
#include "tests/enumerate/report.h"

#include <CLI/CLI.hpp>
#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <stdexcept>

using namespace millrace;
using namespace millrace::test;

namespace {

struct Options {
  CrashOptions crash;
  unsigned jobs = 2;
  std::string only;
  std::vector<std::string> replay;
  bool json = false;
  std::string ledger;
  bool list_sites = false;
};

// "random-5" -> policy and draw.
CrashPoint parse_point(const std::string& text) {
  const auto colon = text.find(':');
  const auto dash = text.find('-');
  const auto number = [&](std::string_view digits) {
    std::uint64_t value = 0;
    const auto end = digits.data() + digits.size();
    const auto parsed = std::from_chars(digits.data(), end, value);
    if (parsed.ec != std::errc{} || parsed.ptr != end)
      throw std::invalid_argument(text + " is not OPERATION:POLICY, for example 17:prefix-3");
    return value;
  };
  CrashPoint point;
  point.operation = number(std::string_view(text).substr(0, colon));
  if (point.operation == 0 || colon == std::string::npos)
    throw std::invalid_argument(text + " is not OPERATION:POLICY, for example 17:prefix-3");
  const std::string name =
      text.substr(colon + 1, dash == std::string::npos ? dash : dash - colon - 1);
  const std::uint64_t value =
      dash == std::string::npos ? 0 : number(std::string_view(text).substr(dash + 1));
  using sim::CrashPolicy;
  if (name == "none") return point.policy = CrashPolicy::none(), point;
  if (name == "all") return point.policy = CrashPolicy::all(), point;
  if (name == "kill") return point.policy = CrashPolicy::kill(), point;
  if (name == "prefix") return point.policy = CrashPolicy::prefix(value), point;
  if (name == "subset") return point.policy = CrashPolicy::subset(value), point;
  if (name == "tear") return point.policy = CrashPolicy::tear(value), point;
  point.draw = value;
  if (name == "random") return point.policy = CrashPolicy::random(), point;
  if (name == "torn") return point.policy = CrashPolicy::torn(), point;
  throw std::invalid_argument(name +
                              " is no policy; there are none, all, kill, prefix-N, subset-N, " +
                              "tear-N, random-N, torn-N");
}

int replay(Options& options) {
  if (options.replay.size() < 3)
    throw std::invalid_argument("--replay takes WORKLOAD SEED OPERATION:POLICY ...");
  const Workload& workload = workload_named(options.replay[0]);
  options.crash.seed = std::stoull(options.replay[1]);
  std::vector<CrashPoint> chain;
  for (std::size_t i = 2; i < options.replay.size(); ++i)
    chain.push_back(parse_point(options.replay[i]));
  CrashEnumeration(options.crash, nullptr).replay(workload, chain);
  fmt::print("every promise was kept\n");
  return 0;
}

struct Item {
  std::size_t workload;
  std::uint64_t operation;
};

std::vector<Item> items_of(const Options& options) {
  std::vector<Item> items;
  for (std::size_t w = 0; w < workloads().size(); ++w) {
    if (!options.only.empty() && workloads()[w].name != options.only) continue;
    // The last one is the loss of power after the end.
    const auto operations = operations_of(workloads()[w], options.crash.seed) + 1;
    for (std::uint64_t at = 1; at <= operations; ++at) items.push_back({w, at});
  }
  return items;
}

struct Report {
  std::uint64_t states = 0, crash_points = 0;
  std::vector<std::string> uncovered;
  nlohmann::ordered_json json;
};

Report report_of(const Options& options, const WorkDone& done, std::size_t crash_points) {
  Report report;
  nlohmann::ordered_json by_workload, by_site, by_depth;
  for (std::size_t w = 0; w < workloads().size(); ++w) {
    const auto count = done.counters[CrashEnumeration::workloads_at + w];
    report.states += count;
    by_workload[workloads()[w].name] = count;
  }
  std::vector<std::pair<std::string, std::uint64_t>> sites;
  for (const auto* site : disk_sites())
    sites.emplace_back(site->to_string(),
                       done.counters[CrashEnumeration::sites_at + site->number()]);
  std::sort(sites.begin(), sites.end());
  for (const auto& [name, count] : sites) {
    by_site[name] = count;
    if (count == 0) report.uncovered.push_back(name);
  }
  for (std::size_t depth = 1; depth <= options.crash.depth; ++depth)
    by_depth[std::to_string(depth)] = done.counters[CrashEnumeration::depths_at + depth];
  report.crash_points = crash_points;
  report.json = {{"program", "millrace-crash-points"},
                 {"commit", source_commit()},
                 {"seed", options.crash.seed},
                 {"subsets", options.crash.subsets},
                 {"depth", options.crash.depth},
                 {"states", report.states},
                 {"crash_points", crash_points},
                 {"call_sites", sites.size()},
                 {"call_sites_crashed_at", sites.size() - report.uncovered.size()},
                 {"failures", done.failure.empty() ? 0 : 1},
                 {"states_by_depth", by_depth},
                 {"states_by_workload", by_workload},
                 {"crashes_by_call_site", by_site}};
  return report;
}

void print(const Options& options, const Report& report) {
  if (options.json) {
    fmt::print("{}\n", report.json.dump(2));
    return;
  }
  for (const auto& [name, count] : report.json["states_by_workload"].items())
    if (count != 0) fmt::print("{:<24} {:>9} states\n", name, count.get<std::uint64_t>());
  for (const auto& [depth, count] : report.json["states_by_depth"].items())
    fmt::print("depth {:<18} {:>9} states\n", depth, count.get<std::uint64_t>());
  if (options.list_sites) {
    for (const auto& [name, count] : report.json["crashes_by_call_site"].items())
      fmt::print("{:<48} {:>9} crashes\n", name, count.get<std::uint64_t>());
  }
  fmt::print("{} states at {} crash points of the workloads; {} of {} call sites crashed at\n",
             report.states, report.crash_points,
             report.json["call_sites_crashed_at"].get<std::uint64_t>(),
             report.json["call_sites"].get<std::uint64_t>());
  for (const auto& name : report.uncovered) fmt::print("never crashed at: {}\n", name);
}

int run(Options& options) {
  // What the product says of faults that we make is not for people.
  diag::configure(diag::Level::off, diag::Style::text);
  diag::shutdown();
  if (!options.replay.empty()) return replay(options);
  if (!options.only.empty()) (void)workload_named(options.only);
  const auto items = items_of(options);
  const WorkDone done =
      share_work(options.jobs, items.size(), [&](Worker& worker, std::uint64_t i) {
        CrashEnumeration(options.crash, &worker).enumerate(items[i].workload, items[i].operation);
      });
  const Report report = report_of(options, done, items.size());
  print(options, report);
  if (!done.failure.empty()) {
    fmt::print(stderr, "{}\ncommit {}; repeat it with\n  millrace-crash-points --replay {}\n",
               done.failure, source_commit(), done.at);
    return 1;
  }
  if (!options.ledger.empty()) {
    auto line = report.json;
    line.erase("crashes_by_call_site");
    append_to_ledger(options.ledger, line);
  }
  return options.only.empty() && !report.uncovered.empty() ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app{"Enumerates losses of power and compares what is left with what was promised"};
  app.add_option("--subsets", options.crash.subsets, "random subsets of what was not durable")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  app.add_option("--depth", options.crash.depth,
                 "1: no crash of a recovery; 2: of it; 3: of that of that")
      ->check(CLI::Range(1, 8))
      ->capture_default_str();
  app.add_option("--stride", options.crash.stride, "try every n-th state of an operation")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  app.add_option("--deep-stride", options.crash.deep_stride,
                 "crash the recoveries of every n-th operation")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  app.add_option("--seed", options.crash.seed, "of the workloads and of all draws")
      ->capture_default_str();
  app.add_option("--jobs", options.jobs, "child processes")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  app.add_option("--workload", options.only, "this one alone");
  app.add_option("--replay", options.replay, "WORKLOAD SEED OPERATION:POLICY ...")->expected(-1);
  app.add_option("--ledger", options.ledger, "append one line of JSON to this file");
  app.add_flag("--json", options.json, "print the result as JSON");
  app.add_flag("--sites", options.list_sites, "list every call site with its crashes");
  CLI11_PARSE(app, argc, argv);
  try {
    return run(options);
  } catch (const std::exception& error) {
    fmt::print(stderr, "millrace-crash-points: {}\n", error.what());
    return 1;
  }
}
