// millrace-call-faults: lets each call of the disk fail, one after the other (call_faults.h), over
// all workloads.
#include "storage/base/diag.h"
#include "tests/enumerate/call_faults.h"
#include "tests/enumerate/disk_sites.h"
#include "tests/enumerate/report.h"

#include <CLI/CLI.hpp>
#include <fmt/core.h>

#include <algorithm>
#include <cstdio>

using namespace millrace;
using namespace millrace::test;

namespace {

struct Options {
  std::uint64_t seed = 1;
  std::uint64_t stride = 1;
  unsigned jobs = 2;
  std::vector<std::string> replay;
  bool json = false;
  std::string ledger;
};

struct Item {
  std::size_t workload;
  CallFault fault;
};

// Counters of a Worker.
constexpr std::size_t runs_at = 0, hits_at = 64, resumed_at = 200, sites_at = 256;
std::size_t kind_of(const CallFault& fault) {
  const auto error = std::find(fault_errors.begin(), fault_errors.end(), fault.error);
  return static_cast<std::size_t>(fault.call) * fault_errors.size() +
         static_cast<std::size_t>(error - fault_errors.begin());
}
static_assert(sim::call_kinds * fault_errors.size() <= hits_at - runs_at);

std::vector<Item> items_of(const Options& options) {
  std::vector<Item> all;
  for (std::size_t w = 0; w < workloads().size(); ++w) {
    const auto calls = calls_of(workloads()[w], options.seed);
    for (std::size_t kind = 0; kind < calls.size(); ++kind) {
      const auto call = static_cast<sim::Call>(kind);
      for (const Errc error : fault_errors) {
        if (!can_answer(call, error)) continue;
        for (std::uint64_t nth = 1; nth <= calls[kind]; ++nth) {
          for (const bool for_ever : {false, true}) {
            for (const auto end :
                 {CallFault::End::power, CallFault::End::stop, CallFault::End::lift})
              all.push_back({w, {call, error, nth, for_ever, end}});
          }
        }
      }
    }
  }
  std::vector<Item> items;
  for (std::size_t i = 0; i < all.size(); i += options.stride) items.push_back(all[i]);
  return items;
}

nlohmann::ordered_json report_of(const Options& options, const WorkDone& done, std::size_t runs,
                                 std::vector<std::string>& unreached) {
  nlohmann::ordered_json by_kind;
  std::uint64_t hits = 0;
  for (std::size_t kind = 0; kind < sim::call_kinds; ++kind) {
    const auto call = static_cast<sim::Call>(kind);
    for (std::size_t e = 0; e < fault_errors.size(); ++e) {
      if (!can_answer(call, fault_errors[e])) continue;
      const auto at = kind * fault_errors.size() + e;
      hits += done.counters[hits_at + at];
      by_kind[fmt::format("{} {}", call_name(call), errc_name(fault_errors[e]))] = {
          {"runs", done.counters[runs_at + at]}, {"faults", done.counters[hits_at + at]}};
    }
  }
  for (const auto* site : disk_sites()) {
    if (done.counters[sites_at + site->number()] == 0) unreached.push_back(site->to_string());
  }
  std::sort(unreached.begin(), unreached.end());
  return {{"program", "millrace-call-faults"},
          {"commit", source_commit()},
          {"seed", options.seed},
          {"runs", runs},
          {"faults", hits},
          {"resumed_without_restart", done.counters[resumed_at]},
          {"call_sites", disk_sites().size()},
          {"call_sites_failed", disk_sites().size() - unreached.size()},
          {"failures", done.failure.empty() ? 0 : 1},
          {"by_call_and_error", by_kind}};
}

void print(const Options& options, const nlohmann::ordered_json& report,
           const std::vector<std::string>& unreached) {
  if (options.json) {
    fmt::print("{}\n", report.dump(2));
    return;
  }
  for (const auto& [kind, counts] : report["by_call_and_error"].items())
    fmt::print("{:<34} {:>8} runs {:>9} faults\n", kind, counts["runs"].get<std::uint64_t>(),
               counts["faults"].get<std::uint64_t>());
  fmt::print(
      "{} runs with {} faults, {} shown to be alive without a restart; {} of {} call sites "
      "failed\n",
      report["runs"].get<std::uint64_t>(), report["faults"].get<std::uint64_t>(),
      report["resumed_without_restart"].get<std::uint64_t>(),
      report["call_sites_failed"].get<std::uint64_t>(), report["call_sites"].get<std::uint64_t>());
  for (const auto& name : unreached) fmt::print("never failed: {}\n", name);
}

int run(const Options& options) {
  diag::configure(diag::Level::off, diag::Style::text);
  diag::shutdown();
  if (!options.replay.empty()) {
    if (options.replay.size() != 3)
      throw std::invalid_argument("--replay takes WORKLOAD SEED CALL:ERROR:NTH:WHEN:END");
    (void)run_with_fault(workload_named(options.replay[0]), std::stoull(options.replay[1]),
                         parse_call_fault(options.replay[2]));
    fmt::print("every promise was kept\n");
    return 0;
  }
  const auto items = items_of(options);
  const WorkDone done =
      share_work(options.jobs, items.size(), [&](Worker& worker, std::uint64_t i) {
        const Item& item = items[i];
        const Workload& workload = workloads()[item.workload];
        worker.at_work(to_string(workload.name, options.seed, item.fault));
        const auto outcome = run_with_fault(workload, options.seed, item.fault);
        worker.count(runs_at + kind_of(item.fault));
        worker.count(hits_at + kind_of(item.fault), outcome.faults_hit);
        worker.count(resumed_at, outcome.resumed ? 1 : 0);
        for (const auto site : outcome.sites) worker.count(sites_at + site);
      });
  std::vector<std::string> unreached;
  const auto report = report_of(options, done, items.size(), unreached);
  print(options, report, unreached);
  if (!done.failure.empty()) {
    fmt::print(stderr, "{}\ncommit {}; repeat it with\n  millrace-call-faults --replay {}\n",
               done.failure, source_commit(), done.at);
    return 1;
  }
  if (!options.ledger.empty()) append_to_ledger(options.ledger, report);
  // A sample need not fail everywhere.
  return options.stride > 1 || unreached.empty() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app{"Lets each call of the disk fail and compares what is left with what was promised"};
  app.add_option("--stride", options.stride, "try every n-th fault")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  app.add_option("--seed", options.seed, "of the workloads")->capture_default_str();
  app.add_option("--jobs", options.jobs, "child processes")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  app.add_option("--replay", options.replay, "WORKLOAD SEED CALL:ERROR:NTH:WHEN:END")->expected(-1);
  app.add_option("--ledger", options.ledger, "append one line of JSON to this file");
  app.add_flag("--json", options.json, "print the result as JSON");
  CLI11_PARSE(app, argc, argv);
  try {
    return run(options);
  } catch (const std::exception& error) {
    fmt::print(stderr, "millrace-call-faults: {}\n", error.what());
    return 1;
  }
}
