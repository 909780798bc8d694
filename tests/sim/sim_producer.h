// A producer: one session in one partition, several batches in flight, retries in order until it
// knows the answer, a new epoch when it gives up on one.
#pragma once

#include "tests/sim/sim_client.h"

#include <deque>

namespace millrace::sim {

class SimProducer final : public SimClient {
 public:
  SimProducer(ClientHost& host, ClientHandle handle, std::uint64_t first_producer_id)
      : SimClient(host, handle), producer_id_(first_producer_id) {}

  void act() override;
  void hear(std::uint64_t id, const ReplyBody& body) override;
  void on_disconnect() override;
  bool is_done() const override { return window_.empty(); }
  // Sends what waits and nothing new.
  void finish() override;

 private:
  struct Waiting {
    std::uint64_t tag;
    std::uint64_t request = 0;  // 0: to be sent, perhaps again
  };

  bool has_target();
  void begin_session();
  void raise_epoch();
  void add_batch();
  void send_waiting();
  void send_loose();
  void on_refused(std::size_t at, const Error& error);

  std::optional<TopicIndex> topic_;
  PartitionIndex partition_ = 0;
  std::uint64_t producer_id_;
  std::uint32_t epoch_ = 0;
  std::uint64_t sequence_ = 0;
  std::deque<Waiting> window_;
  Instant pause_until_{INT64_MIN};
  bool rests_ = false;  // the partition takes nothing before a restart
};

}  // namespace millrace::sim
