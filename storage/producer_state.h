// What a log remembers of each producer session, so that a retry is recognised after a crash: it is
// rebuilt from batch headers by recovery and saved with each checkpoint. The rules of accepting
// live in broker/produce/producer_table; this is the data alone.
#pragma once

#include "storage/base/ids.h"
#include "storage/base/units.h"
#include "storage/format/batch.h"
#include "storage/format/checkpoint_layout.h"

#include <cstdint>
#include <deque>
#include <unordered_map>
#include <vector>

namespace millrace {

// Sequence of its first event, count, checksum as sent, place and time: what a checkpoint keeps.
using ProducedBatch = CheckpointProducer::Batch;

struct ProducerState {
  std::uint64_t producer_id = 0;
  std::uint32_t epoch = 0;
  std::deque<ProducedBatch> recent;  // of this epoch, oldest first, at most recent_max
  // So many batches are always recognised, also after a crash: a producer has no more in flight. In
  // memory twice as many are kept: all that are in flight may be cut off, and the session must not
  // be forgotten with them.
  static constexpr std::size_t window = checkpoint_layout::batches_limit;
  static constexpr std::size_t recent_max = 2 * window;

  // An epoch that has ended is in force again when all batches of the newer ones are cut off. More
  // than earlier_max epochs between two commits are too many.
  struct EarlierEpoch {
    std::uint32_t epoch = 0;
    std::deque<ProducedBatch> recent;
  };
  std::deque<EarlierEpoch> earlier;  // oldest first
  static constexpr std::size_t earlier_max = 2;

  std::uint64_t next_sequence() const {
    return recent.empty() ? 0 : recent.back().sequence + recent.back().event_count;
  }
};

// All sessions of one log, bounded: the one that was silent for longest (by append order) goes
// first.
class ProducerStates {
 public:
  static constexpr std::size_t producers_max = 256;

  // Null when this producer is not known. The pointer lives until the next note or truncate.
  const ProducerState* find(std::uint64_t producer_id) const;
  // An appended batch of a session (producer_id not 0); a newer epoch starts the session over.
  void note(const BatchHeader& header);
  // Forgets batches at and after `end`, and the epochs that they began.
  void truncate(Offset end);
  void clear() { states_.clear(); }
  // For a checkpoint: what was appended below `end`, in no order. Only what is durable may count as
  // a duplicate after a crash.
  std::vector<CheckpointProducer> saved(Offset end) const;
  void restore(const std::vector<CheckpointProducer>& saved);
  std::size_t size() const { return states_.size(); }

 private:
  std::unordered_map<std::uint64_t, ProducerState> states_;
};

}  // namespace millrace
