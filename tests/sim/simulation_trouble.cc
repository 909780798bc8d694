#include "tests/sim/simulation.h"

#include <fmt/core.h>

namespace millrace::sim {
namespace {

// Often enough that a run sees several of each of its classes.
constexpr FaultClass kinds[] = {
    FaultClass::power,       FaultClass::power,      FaultClass::power,
    FaultClass::kill,        FaultClass::kill,       FaultClass::orderly,
    FaultClass::io_errors,   FaultClass::sync_error, FaultClass::full,
    FaultClass::no_files,    FaultClass::slow_disk,  FaultClass::slow_disk,
    FaultClass::short_write, FaultClass::lying_disk, FaultClass::wall_clock,
    FaultClass::lost_client, FaultClass::lost_client};

}  // namespace

void Simulation::trouble() {
  if (has_trouble_ && trouble_.chance(1, 3)) return end_trouble();
  const FaultClass fault = kinds[trouble_.below(std::size(kinds))];
  if (!options.has(fault)) return process_.turn();
  switch (fault) {
    case FaultClass::power:
      if (trouble_.chance(1, 2)) return die(any_policy());
      return disk_.crash_at(1 + trouble_.below(40), any_policy());
    case FaultClass::kill: return die(CrashPolicy::kill());
    case FaultClass::orderly: return stop_and_start();
    case FaultClass::wall_clock: return set_watch();
    case FaultClass::lost_client: return lose_client();
    default: return trouble_disk(fault);
  }
}

void Simulation::trouble_disk(FaultClass fault) {
  has_trouble_ = true;
  oracle.is_calm = false;
  Counts& counts = oracle.counts;
  note(fmt::format("trouble: {}", fault_class_name(fault)));
  const std::uint64_t nth = 1 + trouble_.below(6);
  const bool for_ever = trouble_.chance(1, 6);
  switch (fault) {
    case FaultClass::io_errors: {
      static constexpr Call calls[] = {Call::read,       Call::write,          Call::open,
                                       Call::rename,     Call::remove,         Call::sync_directory,
                                       Call::list,       Call::make_directory, Call::preallocate,
                                       Call::set_length, Call::file_size,      Call::close};
      const Call call = calls[trouble_.below(std::size(calls))];
      counts.row(call == Call::read ? "ST-17" : "ST-14");
      return disk_.inject({.call = call,
                           .error = Errc::storage_error,
                           .nth = nth,
                           .for_ever = for_ever,
                           .path = {}});
    }
    case FaultClass::sync_error:
      counts.row("ST-15");
      return disk_.inject({.call = trouble_.chance(1, 3) ? Call::sync_data : Call::synced_write,
                           .error = Errc::storage_error,
                           .nth = nth,
                           .for_ever = for_ever,
                           .path = {}});
    case FaultClass::full: {
      counts.row("ST-12");
      // Of a write that does not fit a part may be there.
      if (trouble_.chance(1, 2)) {
        return disk_.inject({.call = Call::synced_write,
                             .error = Errc::storage_full,
                             .nth = nth,
                             .for_ever = for_ever,
                             .path = {}});
      }
      const auto space = disk_.space();
      disk_.set_capacity(disk_.used_bytes() + trouble_.below(64 * KiB));
      return;
    }
    case FaultClass::no_files:
      counts.row("ST-21");
      return disk_.inject({.call = Call::open,
                           .error = Errc::overloaded,
                           .nth = nth,
                           .for_ever = for_ever,
                           .path = {}});
    case FaultClass::slow_disk: {
      counts.row("ST-20");
      static constexpr Call calls[] = {Call::synced_write, Call::sync_data, Call::read,
                                       Call::open,         Call::rename,    Call::sync_directory};
      if (trouble_.chance(1, 2)) return disk_.hold(calls[trouble_.below(std::size(calls))]);
      return disk_.set_latency_reaps(10 + trouble_.below(50));
    }
    case FaultClass::lying_disk:
      counts.row("ST-35");
      return disk_.inject(
          {.call = Call::synced_write,
           .error = Errc::ok,
           .nth = nth,
           .for_ever = false,
           .path = {},
           .effect = trouble_.chance(1, 2) ? SimDisk::Effect::lost : SimDisk::Effect::misdirected});
    case FaultClass::short_write: return disk_.set_short_writes(1 + trouble_.below(4));
    default: return;
  }
}

void Simulation::end_trouble() {
  has_trouble_ = false;
  disk_.lift_faults();
  disk_.set_capacity(SimDisk::boundless);
  disk_.set_latency_reaps(options.latency_reaps);
  for (std::size_t call = 0; call < call_kinds; ++call) disk_.release(static_cast<Call>(call));
}

// A connection breaks, or its client does not read for a while.
void Simulation::lose_client() {
  SimClient& client = *clients_[trouble_.below(clients_.size())];
  SimPorts& ports = process_.ports();
  if (ports.busy.erase(client.handle()) > 0) {
    ports.draining.insert(client.handle());
    return;
  }
  if (trouble_.chance(1, 2)) {
    oracle.counts.row("PR-14");
    ports.busy.insert(client.handle());
    // Its answers wait, and those without data are dropped when there are too many.
    for (auto& [id, request] : oracle.requests) {
      if (request.client == client.handle()) request.is_abandoned = true;
    }
    return;
  }
  note(fmt::format("client {} is gone", client.handle().value));
  oracle.counts.work("clients lost");
  const ClientHandle old = client.handle();
  ports.gone.insert(old);
  process_.shard().client_gone(old);
  std::erase_if(oracle.requests, [&](const auto& entry) {
    const bool matters =
        entry.second.kind == RequestKind::create || entry.second.kind == RequestKind::remove;
    if (entry.second.client != old) return false;
    if (matters && entry.second.expect == Expect::any) {
      auto& topic = oracle.topics[entry.second.topic];
      if (topic.state == TopicRecord::State::creating) topic.state = TopicRecord::State::maybe;
    }
    return true;
  });
  client.on_disconnect();
  client.set_handle(ClientHandle{next_handle_++});
}

// Somebody sets the watch: by seconds mostly, by years now and then, forwards and back.
void Simulation::set_watch() {
  static constexpr std::int64_t most_s[] = {1, 3600, 86'400 * 30, 86'400ll * 3653};
  const std::int64_t most = most_s[trouble_.below(4)];
  const auto by =
      static_cast<std::int64_t>(trouble_.below(static_cast<std::uint64_t>(2 * most + 1))) - most;
  note(fmt::format("the wall clock is set by {} s", by));
  oracle.counts.row("PS-07");
  clock_was_set_ = true;
  // Up to an hour is believed at once.
  if (by <= 3600 && by >= -3600) oracle.clock_was_set = true;
  oracle.wall_max = std::max(oracle.wall_max, clock_.wall());
  clock_.set_wall(WallTime{clock_.wall().ns + by * 1'000'000'000});
}

}  // namespace millrace::sim
