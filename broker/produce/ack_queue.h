// Produce requests that wait for the disk: answered by one number, the committed end, in the order
// of their offsets.
//
// Owner: Partition. Thread: the shard's. There is no completion per request: group commit and the
// order of acknowledgements fall out of the watermark.
#pragma once

#include "broker/clients.h"
#include "broker/requests.h"
#include "storage/base/units.h"

#include <deque>

namespace millrace {

class AckQueue {
 public:
  AckQueue(Clients& clients, ShardMetrics& metrics, Clock& clock)
      : clients_(clients), metrics_(metrics), clock_(clock) {}

  // Keyed by reply.offsets.end.
  void push(ClientHandle client, std::uint64_t request_id, Instant received,
            const ProducedReply& reply);
  // Answers all below or at `end`.
  void release(Offset end);
  // Answers all, none of which can be kept any more.
  void fail_all(const Error& error);

  bool empty() const { return waiting_.empty(); }
  std::size_t size() const { return waiting_.size(); }

 private:
  struct Waiting {
    ClientHandle client;
    std::uint64_t request_id = 0;
    Instant received;
    ProducedReply reply;
  };

  Clients& clients_;
  ShardMetrics& metrics_;
  Clock& clock_;
  std::deque<Waiting> waiting_;  // by end offset
};

}  // namespace millrace
