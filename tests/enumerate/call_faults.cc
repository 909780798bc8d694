#include "tests/enumerate/call_faults.h"

#include "tests/enumerate/disk_sites.h"

#include <algorithm>
#include <sstream>

namespace millrace::test {
namespace {

using sim::CrashPolicy;

const std::string end_names[] = {"power", "stop", "lift"};

template <class Value, class Name>
Value named(const std::string& text, std::size_t count, const std::string& what, Name name,
            const std::function<Value(std::size_t)>& at) {
  for (std::size_t i = 0; i < count; ++i) {
    if (name(at(i)) == text) return at(i);
  }
  throw std::invalid_argument(text + " is no " + what);
}

void start(Machine& machine, const std::string& which) {
  const auto started = machine.start();
  if (!started) throw Broken(which + ": " + started.error().to_string());
  machine.check();
}

}  // namespace

bool can_answer(sim::Call call, Errc error) {
  if (error == Errc::storage_error) return true;
  switch (call) {
    // Nothing is needed for these.
    case sim::Call::close:
    case sim::Call::read:
    case sim::Call::file_size: return false;
    // These need space, and no descriptor.
    case sim::Call::write:
    case sim::Call::synced_write:
    case sim::Call::sync_data:
    case sim::Call::set_length:
    case sim::Call::preallocate: return error == Errc::storage_full;
    // These need a descriptor for the file or its directory, and space where names are made.
    case sim::Call::list: return error == Errc::overloaded;
    case sim::Call::open:
    case sim::Call::make_directory:
    case sim::Call::remove_directory:
    case sim::Call::remove:
    case sim::Call::rename:
    case sim::Call::sync_directory: return true;
  }
  return false;
}

std::string to_string(const std::string& workload, std::uint64_t seed, const CallFault& fault) {
  return workload + " " + std::to_string(seed) + " " + std::string(call_name(fault.call)) + ":" +
         std::string(errc_name(fault.error)) + ":" + std::to_string(fault.nth) + ":" +
         (fault.for_ever ? "ever" : "once") + ":" + end_names[static_cast<std::size_t>(fault.end)];
}

CallFault parse_call_fault(const std::string& text) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, ':');) parts.push_back(part);
  if (parts.size() != 5)
    throw std::invalid_argument(text + " is not CALL:ERROR:NTH:(once|ever):(power|stop|lift)");
  CallFault fault;
  fault.call = named<sim::Call>(parts[0], sim::call_kinds, "call of the disk", sim::call_name,
                                [](std::size_t i) { return static_cast<sim::Call>(i); });
  fault.error = named<Errc>(parts[1], fault_errors.size(), "error of the disk", errc_name,
                            [](std::size_t i) { return fault_errors[i]; });
  fault.nth = std::stoull(parts[2]);
  fault.for_ever = parts[3] == "ever";
  const auto end = std::find(std::begin(end_names), std::end(end_names), parts[4]);
  if (end == std::end(end_names)) throw std::invalid_argument(parts[4] + " is no end");
  fault.end = static_cast<CallFault::End>(end - std::begin(end_names));
  return fault;
}

std::array<std::uint64_t, sim::call_kinds> calls_of(const Workload& workload, std::uint64_t seed) {
  const auto machine = workload.make(seed);
  machine->run();
  std::array<std::uint64_t, sim::call_kinds> calls{};
  for (std::size_t kind = 0; kind < calls.size(); ++kind)
    calls[kind] = machine->disk().started(static_cast<sim::Call>(kind));
  return calls;
}

FaultOutcome run_with_fault(const Workload& workload, std::uint64_t seed, const CallFault& fault) {
  FaultOutcome outcome;
  const auto machine = workload.make(seed);
  machine->tolerate_faults();
  site_trace().clear();
  machine->disk().on_fault([&](std::uint64_t operation) {
    if (site_trace().size() != operation)
      throw Broken("a call of the disk that is not on the list of call sites");
    outcome.sites.push_back(site_trace().back());
  });
  machine->disk().inject({.call = fault.call,
                          .error = fault.error,
                          .nth = fault.nth,
                          .for_ever = fault.for_ever,
                          .path = {}});
  machine->before_stop = [&] {
    if (fault.end != CallFault::End::lift || machine->disk().faults_hit() == 0 || outcome.resumed)
      return;
    machine->disk().lift_faults();
    if (machine->wants_restart()) return;
    machine->resume();
    outcome.resumed = true;
  };
  machine->run();
  machine->before_stop = nullptr;
  machine->disk().on_fault(nullptr);
  outcome.faults_hit = machine->disk().faults_hit();
  machine->disk().lift_faults();
  if (fault.end == CallFault::End::power) {
    machine->lose_power(CrashPolicy::none());
  } else {
    machine->stop();
  }
  start(*machine, "the start after the faults");
  machine->lose_power(CrashPolicy::random());
  start(*machine, "the start after that");
  machine->live_on();
  machine->lose_power(CrashPolicy::none());
  start(*machine, "the start after new work");
  machine->stop();
  return outcome;
}

}  // namespace millrace::test
