// How full the disk is, in two watermarks: above the first it is said, above the second no batch is
// taken. Everything else goes on, above all what frees space, and so does producing as soon as
// there is space again (ST-12).
//
// Owner: Shard. Thread: the shard's. Looks once a second.
#pragma once

#include "broker/metrics/metrics.h"
#include "broker/options.h"
#include "storage/io/disk.h"

namespace millrace {

class DiskWatch {
 public:
  enum class State { fine = 0, warn = 1, refuse = 2 };

  DiskWatch(Disk& disk, const BrokerOptions& options, ShardMetrics& metrics)
      : disk_(disk), options_(options), metrics_(metrics) {}

  void look();
  State state() const { return state_; }
  bool is_full() const { return state_ == State::refuse; }

 private:
  State state_of(const Disk::Space& space) const;
  void tell(const Disk::Space& space) const;

  Disk& disk_;
  const BrokerOptions& options_;
  ShardMetrics& metrics_;
  State state_ = State::fine;
};

}  // namespace millrace
