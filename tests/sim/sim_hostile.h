// A client that breaks the rules: copies, conflicts, gaps and old epochs of other clients'
// sessions, requests about what is not there, numbers out of any range. Whatever it sends is
// refused or changes nothing.
#pragma once

#include "tests/sim/sim_client.h"

namespace millrace::sim {

class SimHostile final : public SimClient {
 public:
  using SimClient::SimClient;
  void act() override;
  void hear(std::uint64_t, const ReplyBody&) override {}
  void on_disconnect() override {}
  void finish() override {}

 private:
  void abuse_session();
  void abuse_request();
  void produce(SentBatch& batch, Expect expect);
  SentBatch& forged(const SentBatch& like);
};

}  // namespace millrace::sim
