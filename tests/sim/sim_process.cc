#include "tests/sim/sim_process.h"

#include <optional>

namespace millrace::sim {
namespace {

constexpr std::size_t turns_max = 100'000;
constexpr std::size_t slab_idle_bytes = 8 * MiB;

}  // namespace

// -- ports
// ----------------------------------------------------------------------------------------------------

SendResult SimPorts::send(ClientHandle client, Reply& reply) {
  if (is_deaf || !disk_.has_power()) return SendResult::sent;
  if (gone.contains(client)) return SendResult::gone;
  if (busy.contains(client)) {
    late.insert(client);
    return SendResult::busy;
  }
  observer_.on_reply(client, reply.id, reply.body, late.contains(client));
  // The bytes were looked at; the client needs the numbers alone.
  if (auto* fetched = std::get_if<FetchedReply>(&reply.body)) fetched->data.clear();
  if (auto* pushed = std::get_if<PushedReply>(&reply.body)) pushed->data.clear();
  inbox.push_back({client, std::move(reply)});
  return SendResult::sent;
}

void SimPorts::publish(std::string_view topic, PartitionIndex partition, const Buffer& batch) {
  if (is_deaf || !disk_.has_power()) return;
  observer_.on_published(topic, partition, batch.bytes());
}

// -- process
// --------------------------------------------------------------------------------------------------

SimProcess::Running::Running(SimProcess& p)
    : shard({p.disk_, p.clock_, timers, p.slabs_, p.random_, p.ports_, p.ports_, metrics,
             p.cluster_id_},
            p.options_.broker, p.options_.memory) {}

SimProcess::SimProcess(const SimOptions& options, SimDisk& disk, SimClock& clock,
                       Observer& observer)
    : options_(options),
      disk_(disk),
      clock_(clock),
      random_(options.seed * 0x9E3779B97F4A7C15ull + 3),
      slabs_(slab_idle_bytes),
      ports_(disk, observer) {
  for (std::size_t i = 0; i < 16; ++i) cluster_id_.bytes[i] = static_cast<std::uint8_t>(i + 1);
}

SimProcess::~SimProcess() { CHECK(running_ == nullptr, "a process is ended by its owner"); }

Result<void> SimProcess::start() {
  CHECK(running_ == nullptr, "one process at a time");
  running_ = std::make_unique<Running>(*this);
  ports_.is_deaf = false;
  ports_.inbox.clear();
  ports_.late.clear();
  ports_.draining.clear();
  auto result = std::make_shared<std::optional<Result<void>>>();
  running_->shard.start([result](Result<void> r) { *result = std::move(r); });
  if (!run_until([&] { return result->has_value(); }, seconds(600))) {
    return fail(Errc::timed_out, "a start never ended");
  }
  return **result;
}

bool SimProcess::stop() {
  auto stopped = std::make_shared<bool>(false);
  running_->shard.stop([stopped](const Result<void>&) { *stopped = true; });
  const auto ended = [&] { return *stopped && disk_.in_flight() == 0; };
  if (!run_until(ended, seconds(600))) return false;
  running_.reset();
  return true;
}

bool SimProcess::wind_up() {
  ports_.is_deaf = true;
  return stop();
}

void SimProcess::turn() {
  disk_.reap();
  running_->timers.fire(clock_.now());
  more_ = running_->shard.turn();
  ports_.draining.clear();
}

bool SimProcess::run_until(const std::function<bool()>& condition, Duration patience) {
  const Instant end = clock_.now() + patience;
  for (std::size_t turns = 0; turns < turns_max; ++turns) {
    if (condition()) return true;
    turn();
    if (condition()) return true;
    if (!is_idle()) continue;
    const Instant next = running_->timers.next_deadline();
    if (next == instant_never || next > end) return false;
    clock_.advance_to(next);
  }
  return false;
}

void SimProcess::advance(Duration passed) {
  const Instant end = clock_.now() + passed;
  for (std::size_t turns = 0; turns < turns_max; ++turns) {
    turn();
    // What is held back does not keep time from passing.
    if (!is_idle() && turns % 64 != 63) continue;
    const Instant next = running_->timers.next_deadline();
    if (next > end) break;
    clock_.advance_to(next);
  }
  clock_.advance_to(end);
  turn();
}

}  // namespace millrace::sim
