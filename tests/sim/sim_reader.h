// Readers: one that fetches, one that is pushed to. Each follows a partition from where it is,
// jumps now and then, and goes on behind damage and behind what was trimmed, as a client does.
#pragma once

#include "tests/sim/sim_client.h"

namespace millrace::sim {

// What both know: where they read and how an error moves them.
class FollowingClient : public SimClient {
 public:
  using SimClient::SimClient;

 protected:
  bool has_target();
  void jump();
  void on_error(const Error& error);

  std::optional<TopicIndex> topic_;
  PartitionIndex partition_ = 0;
  std::uint64_t cursor_ = 0;
};

class SimFetcher final : public FollowingClient {
 public:
  using FollowingClient::FollowingClient;
  void act() override;
  void hear(std::uint64_t id, const ReplyBody& body) override;
  void on_disconnect() override { request_ = 0; }
  void finish() override {}

 private:
  std::uint64_t request_ = 0;
};

class SimSubscriber final : public FollowingClient {
 public:
  using FollowingClient::FollowingClient;
  void act() override;
  void hear(std::uint64_t id, const ReplyBody& body) override;
  void on_disconnect() override { request_ = 0; }
  void finish() override {}

 private:
  std::uint64_t request_ = 0;  // of the subscription that stands
  std::uint64_t subscription_ = 0;
};

}  // namespace millrace::sim
