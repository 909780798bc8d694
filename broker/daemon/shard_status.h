// What other threads (HTTP, main) may know of a running shard. Copied out, so it may be kept.
#pragma once

#include "broker/metrics/metrics.h"
#include "broker/shard.h"

#include <cstdint>
#include <string>
#include <vector>

namespace millrace {

struct ShardStatus {
  std::vector<PartitionStatus> partitions;
  std::uint64_t connections = 0;  // clients that were heard of and not found gone
  std::string io_backend;         // "io_uring" or "threads"
};

// Thread: any.
class StatusSource {
 public:
  virtual ~StatusSource() = default;
  // Asks the shard and waits a little; the last known status when it does not answer in time.
  virtual ShardStatus status() = 0;
  virtual const ShardMetrics& metrics() const = 0;
  // Recovery is over and requests are answered.
  virtual bool is_ready() const = 0;
  // Since the loop last went round. It does so ten times a second or more.
  virtual Duration beat_age() const = 0;
  virtual Duration uptime() const = 0;
};

}  // namespace millrace
