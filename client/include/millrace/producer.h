// Sends events to one topic.
//
// send() copies the event into the batch of its partition and returns at once with a Delivery. A
// batch leaves at once when none is in flight for its partition; what arrives meanwhile leaves with
// the next, up to batch_bytes. Keyed events go to the partition of crc32c(key) modulo the number of
// partitions, others go round batch by batch. A retry is never a duplicate: batches carry (producer
// id, epoch, sequence).
#pragma once

#include "millrace/client.h"
#include "millrace/event.h"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace millrace {

namespace detail {
class ProducerCore;
struct BatchFate;
}  // namespace detail

// What became of an event. `offset` is not set when the ack level is none.
struct Receipt {
  std::uint32_t partition = 0;
  std::optional<std::uint64_t> offset;
  std::int64_t append_time_ns = 0;
  AckLevel ack = AckLevel::durable;  // the level that was reached
};

// The future of one event; cheap to copy and to drop.
class Delivery {
 public:
  Delivery() = default;
  // Waits until the fate is known, at most the client's timeout.
  Outcome<Receipt> wait() const;
  // Empty while the fate is not known.
  std::optional<Outcome<Receipt>> poll() const;

 private:
  friend class detail::ProducerCore;
  Delivery(std::shared_ptr<detail::BatchFate> fate, std::uint32_t index)
      : fate_(std::move(fate)), index_(index) {}
  std::shared_ptr<detail::BatchFate> fate_;
  std::uint32_t index_ = 0;
};

// Events that were not acked: surely not stored, or unknown. Unknown are timed_out, storage_error
// (the disk failed under the batch: it may be there after the broker's restart) and
// unknown_producer (the broker forgot the session); with all other codes they are surely not
// stored.
//
// When a batch fails, all batches of its partition that were sent behind it fail, too: as cancelled
// (surely not stored) or, if its own fate is unknown, as timed_out. What was sent after that goes
// on, and never overtakes an event whose fate is unknown.
struct Unacked {
  std::uint32_t partition = 0;
  std::uint64_t event_count = 0;
  ClientError error;
  // Which send of this producer the first of them was, counted from 0 over all partitions; refused
  // sends do not count. Those behind it may have been acked, by other partitions or later.
  std::uint64_t first_event = 0;
};

struct PartitionTally {
  std::uint32_t partition = 0;
  std::uint64_t events = 0;  // acked
  std::optional<std::uint64_t> first_offset, last_offset;
};

// How far send_many came: all events, or those before the one that failed.
struct SentMany {
  std::size_t accepted = 0;
  std::optional<ClientError> error;
};

class Producer {
 public:
  // Asks the broker for the topic. Errors: unknown_topic, timed_out, bad_config.
  static Outcome<Producer> open(const Client& client, std::string topic,
                                ProducerOptions options = {});
  Producer(Producer&&) noexcept;
  Producer& operator=(Producer&&) noexcept;
  // Closes, which may wait for the client's timeout; what was not acked is lost from view, so call
  // close().
  ~Producer();

  std::uint32_t partitions() const;

  // Errors: too_large (names limit and value), closed, overloaded (no room within the timeout),
  // unknown_partition.
  Outcome<Delivery> send(const Event& event);
  Outcome<Delivery> send(std::uint32_t partition, const Event& event);
  // Many at once, for one price: events without a time all get the same "now". Their fates show in
  // flush(), tally() and close(). Stops at the first event that is refused; errors as for send().
  SentMany send_many(std::span<const Event> events);

  // Waits for everything sent so far; fails with the first failure since the last flush.
  Outcome<void> flush();
  // Flushes, stops, and answers what was not acked in this producer's life. Further sends fail.
  std::vector<Unacked> close();

  // Acked so far, per partition.
  std::vector<PartitionTally> tally() const;

 private:
  Producer(const Client& client, std::shared_ptr<detail::ProducerCore> core);
  Client client_;  // the core's requests run on its thread
  std::shared_ptr<detail::ProducerCore> core_;
};

}  // namespace millrace
