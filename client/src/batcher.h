// Events become batches: one that is filling per partition, and those that are full behind it.
//
// Rules: an event joins its partition's filling batch unless that would pass batch_bytes; then the
// batch is full and a new one begins. next() takes the oldest full batch, or, when `take_filling`
// allows, the one that is filling. Keyless events share one partition until its batch is taken or
// full, then the next partition has its turn.
//
// Owner: ProducerCore, under its mutex. Thread: any, one at a time. No allocation per event:
// builders are reused.
#pragma once

#include "batch_fate.h"
#include "loop.h"
#include "schemas/batch_body.h"

#include <deque>
#include <memory>
#include <span>
#include <vector>

namespace millrace::detail {

// A batch before it has its sequence number.
struct DraftBatch {
  BatchBodyBuilder body;
  std::shared_ptr<BatchFate> fate;
  std::uint64_t serial = 0;       // counts the batches of a producer
  std::uint64_t first_event = 0;  // counts its events
  TimePoint deadline;             // of the first event
  std::size_t event_bytes = 0;
};

struct BatcherOptions {
  std::uint32_t partitions = 1;
  std::size_t batch_bytes = 0;  // a batch that would pass this is full
  std::chrono::milliseconds timeout{0};
};

class Batcher {
 public:
  explicit Batcher(BatcherOptions options);

  // Where an event belongs: crc32c(key) modulo partitions, or the partition whose turn it is.
  std::uint32_t route(const Event& event, ByteView headers);

  struct Place {
    DraftBatch* batch = nullptr;
    std::uint32_t index = 0;
  };
  // `headers` as encode_header wrote them. The pointer lives until the next call.
  Place add(std::uint32_t partition, const Event& event, ByteView headers, std::int64_t time_ns);

  bool has_full(std::uint32_t partition) const { return !queues_[partition].full.empty(); }
  bool has_any(std::uint32_t partition) const {
    return has_full(partition) || queues_[partition].filling != nullptr;
  }
  // Null when there is none.
  std::unique_ptr<DraftBatch> next(std::uint32_t partition, bool take_filling);
  // Gives a builder back.
  void recycle(std::unique_ptr<DraftBatch> batch);

  // Bytes that an event counts for in limits and in the buffer.
  static std::size_t bytes_of(const Event& event, std::size_t header_bytes) {
    return event.key.size() + event.payload.size() + header_bytes + 32;
  }
  std::uint64_t batches_begun() const { return next_serial_; }

 private:
  struct Queue {
    std::unique_ptr<DraftBatch> filling;
    std::deque<std::unique_ptr<DraftBatch>> full;
  };
  bool fits(const Queue& queue, const Event& event, ByteView headers) const;
  void close_filling(std::uint32_t partition);
  void begin(std::uint32_t partition);
  void pass_turn(std::uint32_t partition);

  const BatcherOptions options_;
  std::vector<Queue> queues_;
  std::vector<std::unique_ptr<DraftBatch>> idle_;
  std::uint32_t keyless_partition_ = 0;
  std::uint64_t next_serial_ = 0;
  std::uint64_t next_event_ = 0;
};

}  // namespace millrace::detail
