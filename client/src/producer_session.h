// One producer's session with one partition: numbers batches, keeps a window of them on their way,
// and decides what an answer means.
//
//   take draft -> seal (epoch, sequence) -> send
//     acked                     -> decided
//     refused, may pass later   -> pause, then all unacked again, in order, same bytes
//     refused or unknown        -> decided, and with it all that was sent behind it
//
// Why all behind a failed batch fail with it: the broker takes sequences without a gap only, so
// they cannot be accepted in this epoch unless the failed one was. If its fate is unknown, theirs
// is, too (timed_out); else they are surely not stored (cancelled). What was not sent yet goes on
// in the next epoch, which fences late copies of the old one: a batch that timed out stands before
// all that is accepted later, or never (G3, G4, G5).
//
// A session that the broker lost (unknown_producer, or out_of_order for the oldest unacked batch)
// starts over in the next epoch with the same events, if no earlier copy of the oldest one can have
// been stored; else they fail as unknown.
//
// Owner: ProducerCore. Thread: the loop's.
#pragma once

#include "batch_sealer.h"
#include "connection.h"

#include <deque>
#include <optional>

namespace millrace::detail {

class ProducerCore;

class ProducerSession {
 public:
  ProducerSession(ProducerCore& core, std::uint32_t partition)
      : core_(core), partition_(partition) {}

  // Sends what may be sent now.
  void pump();

 private:
  struct SentBatch {
    std::shared_ptr<BatchFate> fate;
    std::uint64_t serial = 0;
    std::uint64_t first_event = 0;
    std::uint32_t event_count = 0;
    std::size_t event_bytes = 0;
    TimePoint deadline;
    std::uint64_t sequence = 0;
    zmq::message_t bytes;
    std::uint64_t request_id = 0;        // 0: none on its way
    bool maybe_stored = false;           // a copy went out that was never answered
    std::optional<ClientError> refusal;  // the broker's last, of those that can be tried again
  };

  bool blocked() const { return paused_ || raising_; }
  void admit(std::unique_ptr<DraftBatch> draft);
  SessionPlace place_at(std::uint64_t sequence) const;
  void transmit(SentBatch& batch);
  void on_answer(std::uint64_t serial, Answer answer);
  void on_acked(std::size_t i, BatchFate::Acked acked);
  void on_refused(std::size_t i, ClientError error);
  void pause();
  void on_pause_over();
  // Same events, next epoch, from sequence 0.
  void start_over();
  void fail_from(std::size_t i, ClientError error);
  void raise_epoch_if_due();

  ProducerCore& core_;
  const std::uint32_t partition_;
  std::uint32_t epoch_ = 0;
  std::uint64_t next_sequence_ = 0;
  std::deque<SentBatch> in_flight_;  // oldest first
  bool paused_ = false;
  bool raising_ = false;  // the epoch goes up when nothing is in flight
  std::chrono::milliseconds pause_{0};
  std::optional<ClientError> dead_;  // nothing can be sent any more
};

}  // namespace millrace::detail
