#include "broker/daemon/shard_loop.h"

#include "storage/base/check.h"
#include "storage/base/diag.h"

#include <fmt/core.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace millrace {
namespace {

// Messages that one turn takes in before the rest of the turn has its say.
constexpr std::size_t receive_budget = 256;
// New connections that one turn looks at, of each socket.
constexpr std::size_t connection_budget = 256;
// How long the last answers may take to reach their clients after a stop.
constexpr int linger_ms = 1'000;
constexpr Duration tend_interval = seconds(1);

std::uint64_t random_seed() {
  std::uint64_t seed = 0;
  CHECK(getrandom(&seed, sizeof seed, 0) == sizeof seed, "the system has randomness");
  return seed;
}

std::string joined(const std::vector<std::string>& texts) {
  std::string out;
  for (const std::string& text : texts) out += (out.empty() ? "" : ",") + text;
  return out;
}

}  // namespace

// Other threads' way into the loop: an eventfd whose readability ends the sleep.
class ShardLoop::WakeUp : public Watcher {
 public:
  WakeUp(Reactor& reactor, int descriptor) : reactor_(reactor), descriptor_(descriptor) {}
  ~WakeUp() override {
    if (watching_) reactor_.unwatch(descriptor_);
  }
  Result<void> start() {
    auto watched = reactor_.watch(descriptor_, *this);
    watching_ = watched.has_value();
    return watched;
  }
  void on_readable() override {
    std::uint64_t count = 0;
    // What was asked for stands in atomics that the turn reads; the number of wakes says nothing.
    [[maybe_unused]] const auto ignored = read(descriptor_, &count, sizeof count);
  }

 private:
  Reactor& reactor_;
  int descriptor_;
  bool watching_ = false;
};

ShardLoop::ShardLoop(const BrokerConfig& config, void* zmq_context, ShardThread& thread)
    : config_(config),
      zmq_context_(zmq_context),
      thread_(thread),
      slabs_(config.memory.idle_bytes),
      random_(random_seed()),
      tend_timer_(this, [](void* self) { static_cast<ShardLoop*>(self)->on_tend(); }) {}

ShardLoop::~ShardLoop() = default;

Result<BoundEndpoints> ShardLoop::open() {
  if (auto ok = open_storage(); !ok) return fail(ok.error());
  auto requests = bind_requests();
  if (!requests) return fail(requests.error());
  auto live = bind_live();
  if (!live) return fail(live.error());
  live_endpoint_ = *live;
  if (auto ok = watch_all(); !ok) return fail(ok.error());
  return BoundEndpoints{*requests, *live};
}

Result<void> ShardLoop::open_storage() {
  auto directory = DataDirectory::open(config_.data.dir, clock_, random_);
  if (!directory) return fail(directory.error());
  directory_ = std::move(*directory);
  const auto choice = parse_io_choice(config_.data.io);
  CHECK(choice.has_value(), "data.io is one of its choices");
  auto io = make_io_backend(*choice, directory_->path(), directory_->lock_descriptor());
  if (!io) return fail(io.error());
  io_ = std::move(*io);
  return {};
}

Result<std::string> ShardLoop::bind_requests() {
  ClientPortOptions options;
  options.frame_bytes_max = config_.listen.frame_bytes_max;
  options.clients_max = config_.listen.clients_max;
  options.stall_max = config_.listen.stall_max;
  options.ipv6 = config_.listen.ipv6;
  auto port = ZmqClientPort::open(zmq_context_, options, clock_, thread_.metrics_);
  if (!port) return fail(port.error());
  clients_ = std::move(*port);
  auto guard = ConnectionGuard::open(zmq_context_, clients_->socket(),
                                     descriptor_threshold_of_process(), thread_.metrics_);
  if (!guard) return fail(guard.error());
  clients_guard_ = std::move(*guard);
  std::vector<std::string> bound;
  for (const std::string& endpoint : endpoint_list(config_.listen.requests)) {
    auto one = clients_->bind(endpoint);
    if (!one) return one;
    bound.push_back(std::move(*one));
  }
  return joined(bound);
}

Result<std::string> ShardLoop::bind_live() {
  const auto endpoints = endpoint_list(config_.listen.live);
  if (endpoints.empty()) return std::string{};
  LiveFeedOptions options;
  options.queue_messages = static_cast<int>(config_.live.queue_messages);
  options.queue_bytes = config_.live.queue_bytes;
  options.stall_max = config_.listen.stall_max;
  options.ipv6 = config_.listen.ipv6;
  auto feed = LiveFeed::open(zmq_context_, options, thread_.metrics_);
  if (!feed) return fail(feed.error());
  live_ = std::move(*feed);
  auto guard = ConnectionGuard::open(zmq_context_, live_->socket(),
                                     descriptor_threshold_of_process(), thread_.metrics_);
  if (!guard) return fail(guard.error());
  live_guard_ = std::move(*guard);
  std::vector<std::string> bound;
  for (const std::string& endpoint : endpoints) {
    auto one = live_->bind(endpoint);
    if (!one) return one;
    bound.push_back(std::move(*one));
  }
  return joined(bound);
}

Result<void> ShardLoop::watch_all() {
  wake_up_ = std::make_unique<WakeUp>(*io_.reactor, thread_.wake_descriptor_);
  if (auto ok = wake_up_->start(); !ok) return ok;
  clients_pump_ = std::make_unique<ZmqPump>(*io_.reactor, clients_->socket(), *clients_);
  if (auto ok = clients_pump_->start(); !ok) return ok;
  clients_guard_pump_ =
      std::make_unique<ZmqPump>(*io_.reactor, clients_guard_->events(), *clients_guard_);
  if (auto ok = clients_guard_pump_->start(); !ok) return ok;
  if (!live_) return {};
  live_guard_pump_ = std::make_unique<ZmqPump>(*io_.reactor, live_guard_->events(), *live_guard_);
  if (auto ok = live_guard_pump_->start(); !ok) return ok;
  live_pump_ = std::make_unique<ZmqPump>(*io_.reactor, live_->socket(), *live_);
  return live_pump_->start();
}

void ShardLoop::start_shard() {
  BrokerOptions options = broker_options(config_);
  options.live_endpoint = live_endpoint_;
  LivePort& live = live_ ? static_cast<LivePort&>(*live_) : no_live_;
  const ShardEnvironment environment{*io_.disk, clock_,           timers_,
                                     slabs_,    random_,          *clients_,
                                     live,      thread_.metrics_, directory_->cluster_id()};
  shard_ = std::make_unique<Shard>(
      environment, std::move(options),
      Shard::Memory{config_.data.recycle_bytes, config_.memory.cache_bytes});
  shard_->start([this](Result<void> result) {
    if (!result) {
      outcome_ = fail(result.error());
      life_ = Life::ended;
      return;
    }
    life_ = Life::serving;
    clients_->set_target(this);
    publish_status();
    thread_.on_ready();
  });
}

void ShardLoop::begin_stop() {
  life_ = Life::stopping;
  shard_->stop([this](Result<void> result) {
    if (!result) outcome_ = fail(result.error());
    life_ = Life::ended;
  });
}

Result<void> ShardLoop::run() {
  timers_.arm(tend_timer_, clock_.now() + tend_interval);
  start_shard();
  while (life_ != Life::ended) turn();
  tend_timer_.cancel();
  // The last answers are on their way; a client that does not read them must not keep us.
  clients_->set_target(nullptr);
  clients_->socket().set(ZMQ_LINGER, linger_ms);
  if (live_) live_->socket().set(ZMQ_LINGER, linger_ms);
  shard_.reset();
  return outcome_;
}

void ShardLoop::turn() {
  const Instant begin = clock_.now();
  thread_.last_beat_ns_.store(begin.ns, std::memory_order_relaxed);
  // Subscriptions that came meanwhile count for what becomes durable in this turn.
  if (live_pump_) static_cast<void>(live_pump_->must_not_sleep());
  io_.disk->reap();
  timers_.fire(begin);
  bool work_left = guard_connections();
  clients_pump_->drain(receive_budget);
  if (shard_->turn()) work_left = true;
  if (life_ == Life::serving && thread_.stop_requested_.load()) {
    begin_stop();
    work_left = true;
  }
  if (thread_.status_wanted_.exchange(false)) publish_status();
  thread_.metrics_.io_in_flight.set(io_.disk->in_flight());
  thread_.metrics_.loop_turn.record_ns((clock_.now() - begin).ns);
  if (life_ != Life::ended) sleep(work_left);
}

// Whether more of them wait than one turn looks at.
bool ShardLoop::guard_connections() {
  bool work_left = false;
  for (ZmqPump* pump : {clients_guard_pump_.get(), live_guard_pump_.get()})
    if (pump != nullptr && pump->drain(connection_budget) == connection_budget) work_left = true;
  return work_left;
}

void ShardLoop::sleep(bool work_left) {
  // While no target is set the messages stay where they are, and looking at them would only keep
  // the loop busy.
  const bool receives = life_ == Life::serving || life_ == Life::stopping;
  if (clients_pump_->must_not_sleep() && receives) work_left = true;
  for (ZmqPump* pump : {clients_guard_pump_.get(), live_guard_pump_.get()})
    if (pump != nullptr && pump->must_not_sleep()) work_left = true;
  if (live_pump_) live_pump_->drain(1);  // forgets the edge: there is never anything to receive
  const Instant now = clock_.now();
  const Instant deadline =
      work_left ? now : std::min(timers_.next_deadline(), now + ZmqPump::safety_interval);
  io_.reactor->wait_until(deadline);
}

void ShardLoop::on_tend() {
  clients_->tend(clock_.now());
  timers_.arm(tend_timer_, clock_.now() + tend_interval);
}

void ShardLoop::publish_status() {
  ShardStatus status;
  if (life_ == Life::serving) status.partitions = shard_->partition_statuses();
  status.connections = clients_->client_count();
  status.io_backend = io_.name;
  thread_.publish(std::move(status));
}

}  // namespace millrace
