// What lives on a shard's thread: disk, sockets, timers and the Shard, and the turn that drives
// them.
//
//   reap disk -> timers -> receive, up to a budget -> shard turn -> look at the sockets once more
//   -> sleep
//
// A handler notes work; the turn does it. Owner: ShardThread::run, on its stack. Thread: that one
// alone.
#pragma once

#include "broker/daemon/config.h"
#include "broker/daemon/shard_thread.h"
#include "broker/shard.h"
#include "broker/wire/connection_guard.h"
#include "broker/wire/live_feed.h"
#include "broker/wire/zmq_client_port.h"
#include "broker/wire/zmq_pump.h"
#include "storage/base/random.h"
#include "storage/data_directory.h"
#include "storage/io/backend.h"
#include "storage/io/system_clock.h"
#include "storage/io/timers.h"
#include "storage/slab.h"

#include <memory>
#include <string>
#include <vector>

namespace millrace {

class ShardLoop : private RequestTarget {
 public:
  ShardLoop(const BrokerConfig& config, void* zmq_context, ShardThread& thread);
  ShardLoop(const ShardLoop&) = delete;
  ShardLoop& operator=(const ShardLoop&) = delete;
  ~ShardLoop() override;

  // Locks the data directory, then binds.
  Result<BoundEndpoints> open();
  // Recovers, serves and stops when the thread was asked to. Answers why it ended.
  Result<void> run();

 private:
  class WakeUp;

  // RequestTarget
  void handle(ClientHandle client, Request&& request) override {
    shard_->handle(client, std::move(request));
  }
  void refuse(ClientHandle client, std::uint64_t request_id, Error error) override {
    shard_->refuse(client, request_id, std::move(error));
  }
  void client_gone(ClientHandle client) override { shard_->client_gone(client); }

  Result<void> open_storage();
  Result<std::string> bind_requests();
  Result<std::string> bind_live();
  Result<void> watch_all();
  void start_shard();
  void begin_stop();
  void turn();
  bool guard_connections();
  void sleep(bool work_left);
  void publish_status();
  void on_tend();

  const BrokerConfig& config_;
  void* zmq_context_;
  ShardThread& thread_;

  // In the order of their making; destroyed the other way round.
  SystemClock clock_;
  Timers timers_;
  SlabPool slabs_;
  Random random_;
  std::unique_ptr<DataDirectory> directory_;
  // The lock goes behind the last I/O: when the ring is gone, and not as late as the kernel lets go
  // of what the ring held.
  struct Unlock {
    std::unique_ptr<DataDirectory>& directory;
    ~Unlock() {
      if (directory) directory->unlock();
    }
  } unlock_{directory_};
  IoBackend io_;
  std::unique_ptr<WakeUp> wake_up_;
  std::unique_ptr<ZmqClientPort> clients_;
  std::unique_ptr<LiveFeed> live_;
  NoLiveFeed no_live_;
  // They watch the sockets, which they must not outlive.
  std::unique_ptr<ConnectionGuard> clients_guard_, live_guard_;
  std::unique_ptr<ZmqPump> clients_pump_, live_pump_, clients_guard_pump_, live_guard_pump_;
  std::unique_ptr<Shard> shard_;
  std::string live_endpoint_;
  Timer tend_timer_;

  enum class Life { recovering, serving, stopping, ended } life_ = Life::recovering;
  Result<void> outcome_;
};

}  // namespace millrace
