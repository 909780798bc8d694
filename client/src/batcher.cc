#include "batcher.h"

#include "storage/base/crc32c.h"
#include "storage/format/batch_layout.h"

namespace millrace::detail {
namespace {

constexpr std::size_t idle_max = 64;

}  // namespace

Batcher::Batcher(BatcherOptions options) : options_(options), queues_(options.partitions) {}

std::uint32_t Batcher::route(const Event& event, ByteView headers) {
  if (!event.key.empty()) return crc32c(as_bytes(event.key)) % options_.partitions;
  // The turn passes with the batch that is full, so its last event does not begin a lonely one
  // behind it.
  if (!fits(queues_[keyless_partition_], event, headers)) close_filling(keyless_partition_);
  return keyless_partition_;
}

bool Batcher::fits(const Queue& queue, const Event& event, ByteView headers) const {
  if (queue.filling == nullptr) return true;
  const BatchBodyBuilder& body = queue.filling->body;
  return body.body_bytes_with(event.key.size(), event.payload.size(), headers.size()) <=
             options_.batch_bytes &&
         body.event_count() < batch_layout::event_count_limit;
}

Batcher::Place Batcher::add(std::uint32_t partition, const Event& event, ByteView headers,
                            std::int64_t time_ns) {
  Queue& queue = queues_[partition];
  if (!fits(queue, event, headers)) close_filling(partition);
  if (queue.filling == nullptr) begin(partition);
  DraftBatch& batch = *queue.filling;
  const std::uint32_t index = batch.body.event_count();
  batch.body.add(as_bytes(event.key), as_bytes(event.payload), headers, time_ns);
  batch.event_bytes += bytes_of(event, headers.size());
  ++next_event_;
  return {&batch, index};
}

std::unique_ptr<DraftBatch> Batcher::next(std::uint32_t partition, bool take_filling) {
  Queue& queue = queues_[partition];
  if (!queue.full.empty()) {
    auto batch = std::move(queue.full.front());
    queue.full.pop_front();
    return batch;
  }
  if (!take_filling || queue.filling == nullptr) return nullptr;
  pass_turn(partition);
  return std::move(queue.filling);
}

void Batcher::recycle(std::unique_ptr<DraftBatch> batch) {
  if (idle_.size() >= idle_max) return;
  batch->body.clear();
  batch->fate.reset();
  batch->event_bytes = 0;
  idle_.push_back(std::move(batch));
}

void Batcher::close_filling(std::uint32_t partition) {
  Queue& queue = queues_[partition];
  queue.full.push_back(std::move(queue.filling));
  pass_turn(partition);
}

void Batcher::begin(std::uint32_t partition) {
  auto& filling = queues_[partition].filling;
  if (idle_.empty()) {
    filling = std::make_unique<DraftBatch>();
  } else {
    filling = std::move(idle_.back());
    idle_.pop_back();
  }
  filling->fate = std::make_shared<BatchFate>(partition, options_.timeout);
  filling->serial = next_serial_++;
  filling->first_event = next_event_;
  filling->deadline = SteadyClock::now() + options_.timeout;
}

void Batcher::pass_turn(std::uint32_t partition) {
  if (partition == keyless_partition_)
    keyless_partition_ = (keyless_partition_ + 1) % options_.partitions;
}

}  // namespace millrace::detail
