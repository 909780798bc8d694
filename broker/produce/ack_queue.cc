#include "broker/produce/ack_queue.h"

#include <algorithm>

namespace millrace {

void AckQueue::push(ClientHandle client, std::uint64_t request_id, Instant received,
                    const ProducedReply& reply) {
  // A new batch goes to the back at once; only a duplicate of one that still waits goes between.
  const auto behind = std::upper_bound(
      waiting_.begin(), waiting_.end(), reply.offsets.end,
      [](Offset end, const Waiting& waiting) { return end < waiting.reply.offsets.end; });
  waiting_.insert(behind, {client, request_id, received, reply});
}

void AckQueue::release(Offset end) {
  if (waiting_.empty()) return;
  const Instant now = clock_.now();
  while (!waiting_.empty() && waiting_.front().reply.offsets.end <= end) {
    const Waiting& first = waiting_.front();
    metrics_.append_latency.record_ns((now - first.received).ns);
    clients_.send(first.client, first.request_id, first.reply);
    waiting_.pop_front();
  }
}

void AckQueue::fail_all(const Error& error) {
  const auto failed = std::exchange(waiting_, {});
  for (const auto& waiting : failed) {
    metrics_.append_rejected[static_cast<std::size_t>(error.code)].add();
    clients_.refuse(waiting.client, waiting.request_id, error);
  }
}

}  // namespace millrace
