#include "broker/daemon/shard_thread.h"

#include "broker/daemon/shard_loop.h"
#include "storage/base/check.h"
#include "storage/io/system_clock.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <utility>

namespace millrace {
namespace {

// How long an HTTP request waits for the shard's own word before it takes the last known one.
constexpr std::chrono::milliseconds status_patience{1'000};

Instant monotonic_now() { return SystemClock{}.now(); }

}  // namespace

ShardThread::ShardThread(const BrokerConfig& config, void* zmq_context)
    : config_(config),
      zmq_context_(zmq_context),
      wake_descriptor_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      started_(monotonic_now()) {
  CHECK(wake_descriptor_ >= 0, "the system gives an eventfd");
}

ShardThread::~ShardThread() {
  request_stop();
  if (thread_.joinable()) thread_.join();
  close(wake_descriptor_);
}

Result<BoundEndpoints> ShardThread::open() {
  CHECK(!thread_.joinable(), "a shard is opened once");
  last_beat_ns_ = monotonic_now().ns;
  thread_ = std::thread([this] { run(); });
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return phase_ != Phase::opening; });
  if (phase_ == Phase::ended && !outcome_) return fail(outcome_.error());
  return endpoints_;
}

bool ShardThread::wait_ready(std::chrono::milliseconds patience) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, patience,
                           [this] { return phase_ == Phase::ready || phase_ == Phase::ended; });
}

void ShardThread::request_stop() {
  stop_requested_ = true;
  wake();
}

bool ShardThread::wait_stopped(std::chrono::milliseconds patience) {
  if (!thread_.joinable()) return true;
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, patience, [this] { return phase_ == Phase::ended; });
}

Result<void> ShardThread::outcome() const {
  const std::lock_guard lock(mutex_);
  return outcome_;
}

ShardStatus ShardThread::status() {
  std::unique_lock lock(mutex_);
  if (phase_ == Phase::ready) {
    const std::uint64_t before = status_version_;
    status_wanted_ = true;
    wake();
    changed_.wait_for(lock, status_patience,
                      [&] { return status_version_ != before || phase_ == Phase::ended; });
  }
  return status_;
}

bool ShardThread::is_ready() const {
  const std::lock_guard lock(mutex_);
  return phase_ == Phase::ready && !stop_requested_;
}

Duration ShardThread::beat_age() const { return monotonic_now() - Instant{last_beat_ns_.load()}; }
Duration ShardThread::uptime() const { return monotonic_now() - started_; }

void ShardThread::wake() {
  const std::uint64_t one = 1;
  // It fails only when the counter is full, and then the loop is awake already.
  [[maybe_unused]] const auto ignored = write(wake_descriptor_, &one, sizeof one);
}

void ShardThread::run() {
  Result<void> outcome;
  {
    ShardLoop loop(config_, zmq_context_, *this);
    auto endpoints = loop.open();
    if (endpoints) {
      on_open(std::move(*endpoints));
      outcome = loop.run();
    } else {
      outcome = fail(endpoints.error());
    }
  }
  const std::lock_guard lock(mutex_);
  outcome_ = std::move(outcome);
  phase_ = Phase::ended;
  changed_.notify_all();
}

void ShardThread::on_open(BoundEndpoints endpoints) {
  const std::lock_guard lock(mutex_);
  endpoints_ = std::move(endpoints);
  phase_ = Phase::open;
  changed_.notify_all();
}

void ShardThread::on_ready() {
  const std::lock_guard lock(mutex_);
  phase_ = Phase::ready;
  changed_.notify_all();
}

void ShardThread::publish(ShardStatus status) {
  const std::lock_guard lock(mutex_);
  status_ = std::move(status);
  ++status_version_;
  changed_.notify_all();
}

}  // namespace millrace
