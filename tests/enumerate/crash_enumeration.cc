#include "tests/enumerate/crash_enumeration.h"

#include "tests/enumerate/disk_sites.h"

#include <algorithm>
#include <bit>

namespace millrace::test {
namespace {

using sim::CrashPolicy;

// Recoveries here are far shorter; a longer one is as good as endless.
constexpr std::uint64_t recovery_operations_max = 2000;
// Which operation of a recovery below the second level the power goes at is drawn among so many.
constexpr std::uint64_t drawn_operations = 24;

std::uint64_t mixed(std::uint64_t a, std::uint64_t b) { return Random(a ^ (b << 1)).next(); }

std::uint64_t seed_of(std::uint64_t seed, const std::vector<CrashPoint>& chain) {
  for (const auto& point : chain) {
    seed = mixed(seed, point.operation);
    seed = mixed(seed, static_cast<std::uint64_t>(point.policy.keep) * 1'000'003 +
                           point.policy.count * 31 + point.draw);
  }
  return seed;
}

}  // namespace

std::string to_string(const std::string& workload, std::uint64_t seed,
                      const std::vector<CrashPoint>& chain) {
  std::string text = workload + " " + std::to_string(seed);
  for (const auto& point : chain) {
    std::string policy = point.policy.to_string();
    std::replace(policy.begin(), policy.end(), ' ', '-');
    const bool is_drawn = point.policy.keep == CrashPolicy::Keep::random ||
                          point.policy.keep == CrashPolicy::Keep::torn;
    text += " " + std::to_string(point.operation) + ":" + policy;
    if (is_drawn) text += "-" + std::to_string(point.draw);
  }
  return text;
}

std::uint64_t operations_of(const Workload& workload, std::uint64_t seed) {
  const auto machine = workload.make(seed);
  machine->run();
  return machine->disk().started();
}

std::optional<CrashEnumeration::Moment> CrashEnumeration::run_to(Machine& machine,
                                                                 std::uint64_t operation,
                                                                 const std::function<void()>& run) {
  std::optional<Moment> moment;
  auto& trace = site_trace();
  trace.clear();
  const std::uint64_t before = machine.disk().started();
  machine.disk().on_crash([&](const sim::SimImage& medium) {
    const std::uint64_t started = machine.disk().started() - before;
    if (trace.size() != started)
      throw Broken("a call of the disk that is not on the list of call sites");
    if (started != operation) return;  // the script loses power by itself on its way
    moment = Moment{medium.clone(), medium.pending_items(), medium.pending_sectors(), {}};
    moment->site = trace.back();
  });
  machine.disk().crash_at(operation, CrashPolicy::none());
  machine.on_power_back = [&] {
    const std::uint64_t done = machine.disk().started() - before;
    if (done < operation) machine.disk().crash_at(operation - done, CrashPolicy::none());
  };
  run();
  machine.on_power_back = nullptr;
  machine.disk().on_crash(nullptr);
  return moment;
}

bool CrashEnumeration::enumerate(std::size_t workload, std::uint64_t operation) {
  workload_ = workload;
  const Workload& work = workloads()[workload];
  const auto machine = work.make(options_.seed);
  if (worker_ != nullptr)
    worker_->at_work(to_string(work.name, options_.seed, {{operation, CrashPolicy::none(), 0}}));
  auto moment = run_to(*machine, operation, [&] { machine->run(); });
  // A script's own loss of power: nothing more can be lost while the dead process is wound up.
  if (!moment && machine->disk().started() >= operation) return true;
  const bool is_last = !moment;
  if (is_last) {
    machine->stop();
    machine->disk().on_crash([&](const sim::SimImage& medium) {
      moment = Moment{medium.clone(), medium.pending_items(), medium.pending_sectors(), {}};
    });
    machine->disk().no_crash();
  }
  machine->lose_power(CrashPolicy::none());
  machine->disk().on_crash(nullptr);
  note(*moment);
  const auto all = points(operation, *moment);
  for (std::size_t i = 0; i < all.size(); ++i) {
    // Nothing, everything and the kill come first.
    if (i >= 3 && (i + operation) % options_.stride != 0) continue;
    examine(*machine, *moment, {all[i]});
  }
  if (options_.depth > 1 && (operation + workload) % options_.deep_stride == 0) {
    enumerate_recovery(*machine, *moment, {{operation, CrashPolicy::none(), 0}});
    if (moment->items == 0) return !is_last;
    enumerate_recovery(*machine, *moment, {{operation, CrashPolicy::all(), 0}});
    enumerate_recovery(*machine, *moment, {{operation, CrashPolicy::torn(), 0}});
  }
  return !is_last;
}

std::vector<CrashPoint> CrashEnumeration::points(std::uint64_t operation,
                                                 const Moment& moment) const {
  std::vector<CrashPoint> all{{operation, CrashPolicy::none(), 0}};
  const auto add = [&](const CrashPolicy& policy, std::uint64_t draw = 0) {
    all.push_back({operation, policy, draw});
  };
  if (moment.items > 0) {
    add(CrashPolicy::all());
    add(CrashPolicy::kill());
  }
  if (moment.items < 16 && (std::uint64_t{1} << moment.items) <= options_.subsets) {
    for (std::uint64_t bits = 1; bits + 1 < (std::uint64_t{1} << moment.items); ++bits)
      add(CrashPolicy::subset(bits));
  } else {
    for (std::uint64_t count = 1; count < moment.items; ++count) add(CrashPolicy::prefix(count));
    for (unsigned draw = 0; draw < options_.subsets; ++draw)
      add(draw % 2 == 0 ? CrashPolicy::random() : CrashPolicy::torn(), draw);
  }
  for (std::uint64_t sector = 0; sector < moment.sectors; ++sector) add(CrashPolicy::tear(sector));
  return all;
}

std::unique_ptr<Machine> CrashEnumeration::fork(const Machine& machine, const Moment& moment,
                                                const std::vector<CrashPoint>& chain) const {
  const std::uint64_t seed = seed_of(options_.seed, chain);
  Random random(seed);
  auto medium = moment.medium.clone();
  medium.crash(chain.back().policy, random);
  return machine.fork(seed, std::move(medium));
}

void CrashEnumeration::note(const Moment& moment) {
  if (worker_ != nullptr && moment.site) worker_->count(sites_at + *moment.site);
}

void CrashEnumeration::examine(const Machine& machine, const Moment& moment,
                               const std::vector<CrashPoint>& chain) {
  if (worker_ != nullptr) {
    worker_->at_work(to_string(workloads()[workload_].name, options_.seed, chain));
    worker_->count(workloads_at + workload_);
    worker_->count(depths_at + chain.size());
  }
  const auto state = fork(machine, moment, chain);
  const auto start = [&](const char* which) {
    const auto started = state->start();
    if (!started) throw Broken(std::string(which) + ": " + started.error().to_string());
    state->check();
  };
  start("recovery");
  state->lose_power(CrashPolicy::random());
  start("the recovery after that");
  state->live_on();
  state->lose_power(CrashPolicy::none());
  start("the start after new work");
  state->stop();
}

void CrashEnumeration::enumerate_recovery(const Machine& machine, const Moment& moment,
                                          const std::vector<CrashPoint>& chain) {
  const bool all_operations = chain.size() == 1;
  const std::uint64_t drawn = 1 + seed_of(options_.seed, chain) % drawn_operations;
  std::uint64_t operation = all_operations ? 1 : drawn;
  for (; operation < recovery_operations_max; ++operation) {
    const auto state = fork(machine, moment, chain);
    if (worker_ != nullptr)
      worker_->at_work(to_string(workloads()[workload_].name, options_.seed, chain) + " " +
                       std::to_string(operation) + ":none");
    const auto deeper = run_to(*state, operation, [&] {
      const auto started = state->start();
      if (!started && !state->lost()) throw Broken("recovery: " + started.error().to_string());
    });
    if (!deeper) {
      state->stop();
      return;
    }
    state->lose_power(CrashPolicy::none());
    note(*deeper);
    const auto with = [&](const CrashPolicy& policy, std::uint64_t draw = 0) {
      auto longer = chain;
      longer.push_back({operation, policy, draw});
      return longer;
    };
    examine(*state, *deeper, with(CrashPolicy::none()));
    if (deeper->items > 0) {
      examine(*state, *deeper, with(CrashPolicy::all()));
      examine(*state, *deeper, with(CrashPolicy::torn(), operation));
      examine(*state, *deeper, with(CrashPolicy::kill()));
    }
    if (chain.size() + 1 < options_.depth)
      enumerate_recovery(*state, *deeper, with(CrashPolicy::torn(), operation));
    if (!all_operations) return;
  }
  throw Broken("a recovery of more than " + std::to_string(recovery_operations_max) +
               " operations");
}

void CrashEnumeration::replay(const Workload& workload, const std::vector<CrashPoint>& chain) {
  std::unique_ptr<Machine> machine = workload.make(options_.seed);
  std::optional<Moment> moment;
  std::vector<CrashPoint> walked;
  for (const auto& point : chain) {
    if (moment) machine = fork(*machine, *moment, walked);
    const bool first = walked.empty();
    moment =
        run_to(*machine, point.operation, [&] { first ? machine->run() : void(machine->start()); });
    if (!moment) {
      machine->stop();
      machine->disk().on_crash([&](const sim::SimImage& medium) {
        moment = Moment{medium.clone(), medium.pending_items(), medium.pending_sectors(), {}};
      });
      machine->disk().no_crash();
    }
    machine->lose_power(CrashPolicy::none());
    machine->disk().on_crash(nullptr);
    walked.push_back(point);
  }
  try {
    examine(*machine, *moment, walked);
  } catch (const Broken& broken) {
    throw Broken(std::string(broken.what()) + "\nbefore the power went:\n" +
                 machine->disk().trace());
  }
}

}  // namespace millrace::test
