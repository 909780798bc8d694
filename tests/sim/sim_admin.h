// Whoever looks after topics: creates, deletes, trims, asks.
#pragma once

#include "tests/sim/sim_client.h"

namespace millrace::sim {

class SimAdmin final : public SimClient {
 public:
  using SimClient::SimClient;
  void act() override;
  void hear(std::uint64_t, const ReplyBody&) override {}
  void on_disconnect() override {}
  void finish() override {}
  // At the beginning of a run.
  void create(std::string name);

 private:
  void remove();
  void trim();
  void list_offsets();
  void ask();
};

}  // namespace millrace::sim
