// The inside of a Producer: the users' side of the buffer, and one session per partition behind it.
//
//   send() -> batcher (here, under the mutex) -> loop: session takes a draft -> ... -> decide() ->
//   flush() and close() wake
//
// Owner: the Producer, and requests on their way. It does not own the connection: the Producer
// does, and the loop, which runs everything else here, lives no longer than that. Thread: users'
// calls any; session() and the calls marked so, the loop's.
#pragma once

#include "batcher.h"
#include "millrace/producer.h"
#include "producer_session.h"
#include "topic.h"

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <vector>

namespace millrace::detail {

class ProducerCore : public std::enable_shared_from_this<ProducerCore> {
 public:
  ProducerCore(Connection& connection, Topic topic, ProducerOptions options);

  Outcome<Delivery> send(std::optional<std::uint32_t> partition, const Event& event);
  SentMany send_many(std::span<const Event> events);
  Outcome<void> flush();
  std::vector<Unacked> close();
  std::vector<PartitionTally> tally() const;

  const Topic& topic() const { return topic_; }
  const ProducerOptions& options() const { return options_; }

  // The loop's thread.
  Connection& connection() { return connection_; }
  BatchSealer& sealer() { return sealer_; }
  ProducerSession& session(std::uint32_t partition) { return sessions_[partition]; }
  // The next draft of a partition that has `in_flight` batches on their way; null when it must
  // wait.
  std::unique_ptr<DraftBatch> take(std::uint32_t partition, std::size_t in_flight, bool blocked);
  void recycle(std::unique_ptr<DraftBatch> draft);
  struct Decided {
    std::shared_ptr<BatchFate> fate;
    std::uint64_t serial = 0;
    std::uint64_t first_event = 0;
    std::uint32_t event_count = 0;
    std::size_t event_bytes = 0;
  };
  void decide(const Decided& batch, BatchFate::Verdict verdict);

 private:
  // What the users' side knows of a session.
  struct Lane {
    std::size_t in_flight = 0;
    bool blocked = false;
    bool scheduled = false;
  };

  using Lock = std::unique_lock<std::mutex>;
  std::optional<ClientError> fault_of(std::optional<std::uint32_t> partition,
                                      const Event& event) const;
  // Waits until `bytes` have room, waking the loop first if it has work.
  std::optional<ClientError> make_room(Lock& lock, std::size_t bytes);
  Delivery add(std::optional<std::uint32_t> partition, const Event& event, std::int64_t now_ns);
  bool schedule(std::uint32_t partition);
  void wake_if_due(Lock& lock);
  void pump_scheduled();
  void note_failure(const Decided& batch, const ClientError& error);
  ClientError too_large(const Event& event, std::size_t body_bytes) const;

  Connection& connection_;
  const Topic topic_;
  const ProducerOptions options_;
  const std::chrono::milliseconds timeout_;
  const std::size_t event_bytes_max_;

  mutable std::mutex mutex_;  // guards what follows up to sessions_
  std::condition_variable room_;
  std::condition_variable decided_;
  Batcher batcher_;
  std::vector<Lane> lanes_;
  std::vector<std::uint32_t> scheduled_;
  bool wake_due_ = false;
  bool wake_posted_ = false;
  bool closed_ = false;
  std::size_t buffered_bytes_ = 0;
  std::vector<std::byte> headers_;     // of the event at hand, encoded
  std::set<std::uint64_t> undecided_;  // serials of batches
  std::optional<ClientError> first_failure_;
  std::vector<Unacked> unacked_;
  std::vector<PartitionTally> tally_;

  BatchSealer sealer_;
  std::deque<ProducerSession> sessions_;
};

}  // namespace millrace::detail
