// One broker in one thread: the loop of docs/architecture.md, "The turn", around a Shard, with its
// disk, sockets and timers.
//
//   open()        data directory locked, endpoints bound; clients may connect, requests wait
//   wait_ready()  recovery is over, requests are answered
//   request_stop(), wait_stopped(), outcome()
//
// Owner: main or an EmbeddedBroker. Thread: every public call may come from any thread; the thread
// inside owns ring, sockets and shard, which are made, used and destroyed there. Fails: what
// stopped the start is answered by open or, during recovery, by outcome(); after that only a stop
// ends it.
#pragma once

#include "broker/daemon/config.h"
#include "broker/daemon/shard_status.h"

#include <sys/types.h>

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

namespace millrace {

struct BoundEndpoints {
  std::string requests, live;  // several are separated by commas; empty: none
};

class ShardThread : public StatusSource {
 public:
  // `zmq_context` outlives this.
  ShardThread(const BrokerConfig& config, void* zmq_context);
  ShardThread(const ShardThread&) = delete;
  ShardThread& operator=(const ShardThread&) = delete;
  // Stops and waits.
  ~ShardThread() override;

  // Errors: data_dir_in_use, data_dir_refused, bad_config (an endpoint), bad_state (an endpoint
  // that is taken), storage_error.
  Result<BoundEndpoints> open();
  // Whether requests are answered, or the start failed (then see outcome()), within `patience`.
  bool wait_ready(std::chrono::milliseconds patience);
  void request_stop();
  // Whether the thread has ended within `patience`.
  bool wait_stopped(std::chrono::milliseconds patience);
  // Of a thread that has ended; success before that.
  Result<void> outcome() const;

  // StatusSource
  ShardStatus status() override;
  const ShardMetrics& metrics() const override { return metrics_; }
  bool is_ready() const override;
  Duration beat_age() const override;
  Duration uptime() const override;

 private:
  friend class ShardLoop;
  enum class Phase { opening, open, ready, ended };

  void run();
  void wake();
  // Called by the loop.
  void on_open(BoundEndpoints endpoints);
  void on_ready();
  void publish(ShardStatus status);

  const BrokerConfig config_;
  void* const zmq_context_;
  ShardMetrics metrics_;
  int wake_descriptor_ = -1;  // an eventfd, watched by the loop
  Instant started_;
  std::atomic<std::int64_t> last_beat_ns_{0};
  std::atomic<bool> stop_requested_{false};
  std::atomic<bool> status_wanted_{false};

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  Phase phase_ = Phase::opening;
  BoundEndpoints endpoints_;
  Result<void> outcome_;
  ShardStatus status_;
  std::uint64_t status_version_ = 0;

  std::thread thread_;
};

}  // namespace millrace
