// The core of one shard: its topics and partitions, and one turn's worth of logic. No ring, no
// sockets, no FlatBuffers: the daemon and the simulator drive it through the same five calls.
//
//   handle()      a request came in: refused at once, answered at once, or noted and answered by a
//   later turn turn()        flush logs that have staged batches, serve fetches and subscriptions,
//   retry replies that found
//                 their client busy
//
// Owner: the daemon's shard_thread (or the simulator). Thread: one, the shard's. Disk, Clock and
// the rest outlive it.
#pragma once

#include "broker/client_port.h"
#include "broker/metrics/metrics.h"
#include "broker/options.h"
#include "broker/requests.h"
#include "storage/base/random.h"
#include "storage/io/clock.h"
#include "storage/io/disk.h"
#include "storage/io/timers.h"
#include "storage/slab.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace millrace {

struct ShardEnvironment {
  Disk& disk;
  Clock& clock;
  Timers& timers;
  SlabPool& slabs;
  Random& random;
  ClientPort& clients;
  LivePort& live;
  ShardMetrics& metrics;
  ClusterId cluster_id;
};

// One row per partition for metrics and health; copied out, so any thread may keep it.
struct PartitionStatus {
  std::string topic;
  PartitionIndex partition = 0;
  Offset start_offset, durable_end, appended_end;
  std::uint64_t bytes = 0;
  std::uint32_t segments = 0;
  std::uint64_t events_appended = 0, append_bytes = 0;
  std::uint64_t corrupt_events = 0;  // in fenced ranges
  std::string state;                 // "ok", or what is wrong
};

class Shard {
 public:
  using Done = std::function<void(Result<void>)>;

  // `segment_pool_bytes`: retired segments kept for re-use; `cache_bytes`: tail caches of all logs
  // together.
  struct Memory {
    std::uint64_t segment_pool_bytes = 1 * GiB;
    std::uint64_t cache_bytes = 256 * MiB;
  };

  Shard(ShardEnvironment environment, BrokerOptions options, Memory memory);
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;
  ~Shard();

  // Finishes deletions that were cut short, opens every topic and recovers every log. A topic that
  // cannot be opened is kept, named in diag and answered with its fault; only a disk that cannot be
  // listed fails the start.
  void start(Done done);
  // Answers waiting requests with shutting_down, finishes commits in flight and answers them,
  // writes clean checkpoints. New requests are answered shutting_down meanwhile.
  void stop(Done done);

  void handle(ClientHandle client, Request&& request);
  // A request that could not be decoded; answered with `error` if its id is known.
  void refuse(ClientHandle client, std::uint64_t request_id, Error error);
  void client_gone(ClientHandle client);

  // Answers whether work is left that needs no event to go on (a budget ran out): then the loop
  // must not sleep.
  bool turn();

  std::vector<PartitionStatus> partition_statuses() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace millrace
