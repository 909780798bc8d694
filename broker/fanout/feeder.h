// Feeds subscriptions: in fair rounds, whoever has credit, data and room gets one push.
//
// Trip two, repeated while credit lasts. Live is not a mode: at the tail the read is a hit in
// memory. Owner: Shard. Thread: the shard's. A subscription that meets an error (corrupt, trimmed
// away, its topic deleted) ends with one Error reply under its Subscribe's request id; the client
// decides where to go on.
#pragma once

#include "broker/by_client.h"
#include "broker/core.h"
#include "broker/fanout/subscription.h"
#include "broker/requests.h"

#include <cstddef>

namespace millrace {

class Feeder {
 public:
  // Largest push, and pushes per turn.
  static constexpr std::size_t push_bytes_max = 1 * MiB;
  static constexpr std::size_t pushes_per_turn = 256;

  explicit Feeder(const Core& core) : core_(core) {}
  Feeder(const Feeder&) = delete;
  Feeder& operator=(const Feeder&) = delete;

  // -- requests; each is answered.
  void subscribe(ClientHandle client, std::uint64_t request_id, Partition& partition,
                 const SubscribeRequest& request);
  void credit(ClientHandle client, std::uint64_t request_id, const CreditRequest& request);
  void unsubscribe(ClientHandle client, std::uint64_t request_id,
                   const UnsubscribeRequest& request);

  // -- progress
  // New durable data of a partition: those who wait for it become ready.
  void wake(IntrusiveList<Subscription>& waiting);
  void make_ready(Subscription& subscription);
  // Answers whether somebody is still ready.
  bool turn();

  // -- ends
  void client_gone(ClientHandle client);
  void end_all(const Partition& partition, const Error& error);
  void end_all(const Error& error);
  void tidy() { subscriptions_.tidy(); }

  std::size_t size() const { return subscriptions_.size(); }

 private:
  // Null, after an answer, when there is none.
  Subscription* find(ClientHandle client, std::uint64_t request_id, std::uint64_t id);
  std::size_t count_of(ClientHandle client) const { return subscriptions_.count_of(client); }
  void feed(Subscription& subscription);
  void read(Subscription& subscription, std::size_t bytes_max);
  void on_read(Subscription& subscription, Result<ReadResult> result);
  void push(Subscription& subscription, ReadResult result);
  void go_on(Subscription& subscription);
  void fail_subscription(Subscription& subscription, const Error& error);
  void end(Subscription& subscription);

  const Core& core_;
  ByClient<Subscription> subscriptions_;
  IntrusiveList<Subscription> ready_;
};

}  // namespace millrace
