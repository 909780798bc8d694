#include "broker/fanout/feeder.h"

#include "broker/clients.h"
#include "broker/partition.h"

#include <fmt/core.h>

#include <algorithm>

namespace millrace {

// -- requests
// ---------------------------------------------------------------------------------------------------------

void Feeder::subscribe(ClientHandle client, std::uint64_t request_id, Partition& partition,
                       const SubscribeRequest& request) {
  const ClientKey key{client, request.subscription};
  const auto refuse = [&](Error error) {
    core_.clients.refuse(client, request_id, std::move(error));
  };
  if (subscriptions_.contains(key)) {
    return refuse({Errc::bad_state, fmt::format("subscription {} of this client stands already; "
                                                "choose another number",
                                                request.subscription)});
  }
  if (count_of(client) >= core_.options.limits.subscriptions_per_client_max) {
    return refuse(
        {Errc::overloaded,
         fmt::format("this client has {} subscriptions, the limit is {}; end some, or raise "
                     "limits.subscriptions_per_client_max",
                     count_of(client), core_.options.limits.subscriptions_per_client_max)});
  }
  if (auto readable = partition.check_readable(request.offset); !readable) {
    return refuse(readable.error());
  }
  Subscription& subscription = subscriptions_.add(std::make_unique<Subscription>(
      *this, key, request_id, partition, request.offset, request.credit_bytes));
  core_.clients.send(client, request_id,
                     SubscribedReply{partition.log().start_offset(), partition.committed_end()});
  go_on(subscription);
}

Subscription* Feeder::find(ClientHandle client, std::uint64_t request_id, std::uint64_t id) {
  if (Subscription* found = subscriptions_.find({client, id})) return found;
  core_.clients.refuse(client, request_id,
                       {Errc::bad_state, fmt::format("this client has no subscription {}", id)});
  return nullptr;
}

void Feeder::credit(ClientHandle client, std::uint64_t request_id, const CreditRequest& request) {
  Subscription* subscription = find(client, request_id, request.subscription);
  if (subscription == nullptr) return;
  const bool stood_still = subscription->credit <= 0;
  subscription->grant(request.credit_bytes);
  if (stood_still && subscription->read == nullptr && !subscription->linked()) go_on(*subscription);
}

void Feeder::unsubscribe(ClientHandle client, std::uint64_t request_id,
                         const UnsubscribeRequest& request) {
  Subscription* subscription = find(client, request_id, request.subscription);
  if (subscription == nullptr) return;
  end(*subscription);
  core_.clients.send(client, request_id, DoneReply{});
}

// -- progress
// ---------------------------------------------------------------------------------------------------------

void Feeder::make_ready(Subscription& subscription) {
  subscription.unlink();
  ready_.push_back(subscription);
}

void Feeder::wake(IntrusiveList<Subscription>& waiting) {
  while (!waiting.empty()) make_ready(waiting.front());
}

// Puts a subscription where it belongs: out of credit, waiting for data, or ready.
void Feeder::go_on(Subscription& subscription) {
  if (subscription.credit <= 0) return;
  if (subscription.cursor == subscription.partition.committed_end()) {
    return subscription.partition.waiting_subscriptions().push_back(subscription);
  }
  make_ready(subscription);
}

bool Feeder::turn() {
  for (std::size_t pushes = 0; pushes < pushes_per_turn && !ready_.empty(); ++pushes) {
    feed(ready_.pop_front());
  }
  return !ready_.empty();
}

void Feeder::feed(Subscription& subscription) {
  const ClientHandle client = subscription.key.client;
  const std::size_t room = core_.clients.room(client);
  if (room == 0) return core_.clients.wait_for_room(client, subscription);
  const auto bytes_max =
      std::min({static_cast<std::size_t>(subscription.credit), push_bytes_max, room});
  bool must_read = false;
  auto cached = subscription.partition.log().read_cached(subscription.cursor, bytes_max, must_read);
  if (!cached) return fail_subscription(subscription, cached.error());
  if (must_read) return read(subscription, bytes_max);
  push(subscription, std::move(*cached));
}

void Feeder::read(Subscription& subscription, std::size_t bytes_max) {
  subscription.reserved = std::max(bytes_max, read_memory_min);
  core_.clients.reserve(subscription.key.client, subscription.reserved);
  subscription.read = subscription.partition.log().read(
      subscription.cursor, bytes_max,
      [this, at = &subscription](Result<ReadResult> result) { on_read(*at, std::move(result)); });
}

void Feeder::on_read(Subscription& subscription, Result<ReadResult> result) {
  subscription.read.reset();
  core_.clients.release(subscription.key.client, std::exchange(subscription.reserved, 0));
  if (!result) return fail_subscription(subscription, result.error());
  push(subscription, std::move(*result));
}

void Feeder::push(Subscription& subscription, ReadResult result) {
  std::size_t bytes = 0;
  for (const auto& buffer : result.buffers) bytes += buffer.size();
  if (bytes > 0) {
    ShardMetrics& metrics = core_.environment.metrics;
    metrics.fetch_bytes.add(bytes);
    metrics.events_fetched.add(result.next_offset - subscription.cursor);
    subscription.credit -= static_cast<std::int64_t>(bytes);
    PushedReply reply;
    reply.subscription = subscription.key.id;
    reply.next_offset = result.next_offset;
    reply.end_offset = subscription.partition.committed_end();
    reply.credit_left = subscription.credit_left();
    reply.data = std::move(result.buffers);
    core_.clients.send(subscription.key.client, subscription.request_id, std::move(reply));
  }
  const bool stuck = bytes == 0 && result.next_offset == subscription.cursor &&
                     subscription.cursor != subscription.partition.committed_end();
  if (stuck) {
    return fail_subscription(subscription,
                             {Errc::storage_error, "the log has nothing to give here"});
  }
  subscription.cursor = result.next_offset;
  go_on(subscription);
}

// -- ends
// -------------------------------------------------------------------------------------------------------------

void Feeder::fail_subscription(Subscription& subscription, const Error& error) {
  const ClientHandle client = subscription.key.client;
  const std::uint64_t request_id = subscription.request_id;
  end(subscription);
  core_.clients.refuse(client, request_id, error);
}

// It may be inside of a callback of its own read: it lives until tidy.
void Feeder::end(Subscription& subscription) {
  subscription.unlink();
  subscription.read.reset();
  if (subscription.reserved > 0) {
    core_.clients.release(subscription.key.client, std::exchange(subscription.reserved, 0));
  }
  subscriptions_.bury(subscription);
}

void Feeder::client_gone(ClientHandle client) {
  subscriptions_.for_each_of(client, [&](Subscription& subscription) { end(subscription); });
}

void Feeder::end_all(const Partition& partition, const Error& error) {
  subscriptions_.for_each([&](Subscription& subscription) {
    if (&subscription.partition == &partition) fail_subscription(subscription, error);
  });
}

void Feeder::end_all(const Error& error) {
  subscriptions_.for_each(
      [&](Subscription& subscription) { fail_subscription(subscription, error); });
}

}  // namespace millrace
