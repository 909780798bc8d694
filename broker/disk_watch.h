// How full the disk is, in two watermarks: above the first it is said, above the second no batch is
// taken. Everything else goes on, above all what frees space, and so does producing as soon as
// there is space again (ST-12). A write may meet "no space left" below both: a quota ends before
// the disk does, or the second watermark is all of it. Then the logs refuse by themselves, and it
// is told here.
//
// Owner: Shard. Thread: the shard's. Looks once a second.
#pragma once

#include "broker/metrics/metrics.h"
#include "broker/options.h"
#include "storage/io/disk.h"

#include <string>

namespace millrace {

class DiskWatch {
 public:
  enum class State { fine = 0, warn = 1, refuse = 2 };
  // What the logs have met since the last look.
  enum class Writes { fine, met_no_space };

  DiskWatch(Disk& disk, const BrokerOptions& options, ShardMetrics& metrics)
      : disk_(disk), options_(options), metrics_(metrics) {}

  void look(Writes writes);
  // Why no batch is taken, for clients; empty: batches are taken, as far as the watermarks go.
  const std::string& refusal() const { return refusal_; }
  // By the watermark or by what the logs have met.
  bool lacks_space() const { return state_ == State::refuse || writes_ == Writes::met_no_space; }

 private:
  State state_of(const Disk::Space& space) const;
  std::string refusal_text(const Disk::Space& space) const;
  void note(const Disk::Space& space);
  void tell(const Disk::Space& space) const;

  Disk& disk_;
  const BrokerOptions& options_;
  ShardMetrics& metrics_;
  State state_ = State::fine;
  Writes writes_ = Writes::fine;
  std::string refusal_;
};

}  // namespace millrace
