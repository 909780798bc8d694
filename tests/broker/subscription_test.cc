#include "tests/broker/shard_fixture.h"

using namespace millrace;
using namespace millrace::test;

namespace {

struct Subscriber : RunningShard {
  explicit Subscriber(BrokerOptions broker_options = small_broker_options())
      : RunningShard(1, broker_options) {
    create("orders");
  }
  std::uint64_t subscribe(std::uint64_t subscription, std::uint64_t offset, std::uint32_t credit,
                          ClientHandle client = alice) {
    const auto id =
        send(SubscribeRequest{subscription, {"orders", {}}, 0, Offset{offset}, credit}, client);
    REQUIRE(has_reply(id, client));
    auto replies = take(id, client);
    expect<SubscribedReply>(std::move(replies.at(0).body));
    for (std::size_t i = 1; i < replies.size(); ++i)
      clients.replies[client].push_back(std::move(replies[i]));
    return id;
  }
  // The payloads pushed under this id so far.
  std::vector<std::string> pushed(std::uint64_t id, ClientHandle client = alice) {
    settle();
    std::vector<std::string> out;
    for (auto& reply : take(id, client)) {
      const auto push = expect<PushedReply>(std::move(reply.body));
      for (auto& payload : payloads_of(push.data)) out.push_back(std::move(payload));
      last_push = {push.subscription, push.next_offset, push.end_offset, push.credit_left, {}};
    }
    return out;
  }
  PushedReply last_push;
};

constexpr std::uint32_t much = 1 << 20;

}  // namespace

TEST_CASE("history runs into live without a gap") {
  Subscriber shard;
  std::vector<std::string> sent;
  for (int i = 0; i < 40; ++i) {
    sent.push_back(std::to_string(i) + std::string(2000, 'x'));
    shard.must_produce("orders", sent.back());
  }
  shard.restart();  // history is on disk now
  const auto id = shard.subscribe(1, 0, much);
  for (int i = 0; i < 10; ++i) {
    sent.push_back("live " + std::to_string(i));
    shard.must_produce("orders", sent.back());
  }
  CHECK(shard.pushed(id) == sent);
  CHECK(shard.last_push.next_offset == Offset{50});
}

TEST_CASE("a push stops when the credit is used up and goes on when more is granted") {
  Subscriber shard;
  const std::string payload(1000, 'x');
  const auto batch_bytes = static_cast<std::uint32_t>(align_up(make_batch(payload).size(), 8));
  for (int i = 0; i < 6; ++i) shard.must_produce("orders", payload);
  const auto id = shard.subscribe(1, 0, 1);
  CHECK(shard.pushed(id).size() == 1);  // at least one whole batch
  CHECK(shard.last_push.credit_left == 0);
  shard.send(CreditRequest{1, batch_bytes - 1});
  CHECK(shard.pushed(id).empty());  // that only pays the debt
  shard.send(CreditRequest{1, 2 * batch_bytes});
  CHECK(shard.pushed(id).size() == 2);
  shard.send(CreditRequest{1, much});
  CHECK(shard.pushed(id).size() == 3);
  CHECK(shard.last_push.next_offset == Offset{6});
}

TEST_CASE("PR-23: credit does not overflow") {
  Subscriber shard;
  const auto id = shard.subscribe(1, 0, UINT32_MAX);
  for (int i = 0; i < 5; ++i) shard.send(CreditRequest{1, UINT32_MAX});
  shard.must_produce("orders", "x");
  CHECK(shard.pushed(id).size() == 1);
  CHECK(shard.last_push.credit_left > UINT32_MAX - 1000);
}

TEST_CASE("a subscription without credit gets nothing") {
  Subscriber shard;
  shard.must_produce("orders", "x");
  const auto id = shard.subscribe(1, 0, 0);
  CHECK(shard.pushed(id).empty());
  shard.send(CreditRequest{1, 1});
  CHECK(shard.pushed(id).size() == 1);
}

TEST_CASE("requests about subscriptions that are refused") {
  auto options = small_broker_options();
  options.limits.subscriptions_per_client_max = 2;
  Subscriber shard(options);
  shard.subscribe(1, 0, much);
  const auto again = SubscribeRequest{1, {"orders", {}}, 0, Offset{0}, much};
  CHECK(shard.refusal(shard.call(again)) == Errc::bad_state);
  shard.subscribe(2, 0, much);
  CHECK(shard.refusal(shard.call(SubscribeRequest{3, {"orders", {}}, 0, Offset{0}, much})) ==
        Errc::overloaded);
  CHECK(shard.refusal(shard.call(SubscribeRequest{4, {"orders", {}}, 0, Offset{1}, much},
                                 ShardFixture::bob)) == Errc::offset_out_of_range);
  CHECK(shard.refusal(shard.call(SubscribeRequest{4, {"nowhere", {}}, 0, {}, much},
                                 ShardFixture::bob)) == Errc::unknown_topic);
  CHECK(shard.refusal(shard.call(CreditRequest{9, 1})) == Errc::bad_state);
  CHECK(shard.refusal(shard.call(UnsubscribeRequest{9})) == Errc::bad_state);
  CHECK(shard.refusal(shard.call(UnsubscribeRequest{1}, ShardFixture::bob)) == Errc::bad_state);
  shard.expect<DoneReply>(shard.call(UnsubscribeRequest{1}));
  shard.subscribe(1, 0, much);
}

TEST_CASE("nothing is pushed after an unsubscribe was answered") {
  Subscriber shard;
  const auto id = shard.subscribe(1, 0, much);
  shard.must_produce("orders", "a");
  CHECK(shard.pushed(id).size() == 1);
  shard.expect<DoneReply>(shard.call(UnsubscribeRequest{1}));
  shard.must_produce("orders", "b");
  CHECK(shard.pushed(id).empty());
}

TEST_CASE("G6: nothing is pushed before it is durable") {
  Subscriber shard;
  shard.must_produce("orders", "a");
  const auto id = shard.subscribe(1, 1, much);
  shard.disk.hold(sim::Call::synced_write);
  const auto batch = make_batch("b");
  const auto produced = shard.send(ShardFixture::produce_request("orders", batch, Ack::received));
  shard.settle_held();
  CHECK(shard.has_reply(produced));
  CHECK_FALSE(shard.has_reply(id));
  shard.disk.release(sim::Call::synced_write);
  CHECK(shard.pushed(id) == std::vector<std::string>{"b"});
}

TEST_CASE("a deleted topic ends its subscriptions and waiting fetches") {
  Subscriber shard;
  shard.must_produce("orders", "a");
  const auto id = shard.subscribe(1, 1, much);
  const auto fetch = shard.send(ShardFixture::fetch_request("orders", 1, 10'000));
  shard.expect<DoneReply>(shard.call(DeleteTopicRequest{{"orders", {}}}));
  CHECK(shard.refusal(shard.wait(id)) == Errc::unknown_topic);
  CHECK(shard.refusal(shard.wait(fetch)) == Errc::unknown_topic);
  CHECK(shard.refusal(shard.call(CreditRequest{1, 1})) == Errc::bad_state);
}

TEST_CASE("a trim below the cursor of a slow subscription ends it with the new start") {
  Subscriber shard;
  for (int i = 0; i < 5; ++i) shard.must_produce("orders", std::string(1000, 'x'));
  const auto id = shard.subscribe(1, 0, 1);
  CHECK(shard.pushed(id).size() == 1);
  shard.call(TrimTopicRequest{{"orders", {}}, 0, {Where::Kind::offset, 4}});
  shard.send(CreditRequest{1, much});
  const auto error = shard.expect<Error>(shard.wait(id));
  CHECK(error.code == Errc::offset_out_of_range);
  CHECK(error.range_begin == 4);
}

TEST_CASE("rounds are fair: a reader of much does not starve a reader of little") {
  Subscriber shard;
  shard.create("other");
  for (int i = 0; i < 40; ++i) shard.must_produce("orders", std::string(30'000, 'x'));
  shard.must_produce("other", "small");
  shard.subscribe(1, 0, 64 * much);
  const auto id =
      shard.send(SubscribeRequest{2, {"other", {}}, 0, Offset{0}, much}, ShardFixture::bob);
  shard.turn();
  CHECK(shard.take(id, ShardFixture::bob).size() == 2);
}

TEST_CASE("PR-14: a client that asks and never reads costs a bounded amount of memory") {
  auto options = small_broker_options();
  options.limits.client_bytes_max = 256 * KiB;
  Subscriber shard(options);
  for (int i = 0; i < 60; ++i) shard.must_produce("orders", std::string(30'000, 'x'));
  shard.restart();  // from disk, where reads are in flight
  shard.clients.room[ShardFixture::alice] = 0;
  for (std::uint64_t i = 0; i < 500; ++i) {
    shard.send(SubscribeRequest{i, {"orders", {}}, 0, Offset{0}, much});
    shard.send(ShardFixture::fetch_request("orders", i % 60));
    shard.send(DescribeTopicRequest{{"orders", {}}});
    shard.turn();
    // One batch may be larger than what was asked for.
    CHECK(shard.process->metrics.reply_bytes.get() <= 256 * KiB + 40'000);
  }
  shard.settle_held();
  CHECK(shard.process->metrics.reply_bytes.get() <= 256 * KiB + 40'000);
  CHECK(shard.process->metrics.replies_undeliverable.get() > 0);
  // Others do not notice.
  CHECK(shard
            .expect<FetchedReply>(
                shard.call(ShardFixture::fetch_request("orders", 59), ShardFixture::bob))
            .next_offset == Offset{60});
  // Gone: all of it is free.
  shard.process->shard.client_gone(ShardFixture::alice);
  shard.settle();
  CHECK(shard.process->metrics.reply_bytes.get() == 0);
  CHECK(shard.process->metrics.subscriptions.get() == 0);
  CHECK(shard.process->metrics.clients.get() == 0);
}

TEST_CASE("PR-14: nothing is read for a client that is busy, and all of it when it drains") {
  Subscriber shard;
  for (int i = 0; i < 20; ++i) shard.must_produce("orders", std::string(3000, 'x'));
  shard.restart();
  shard.clients.room[ShardFixture::alice] = 0;
  shard.send(PingRequest{});
  const auto reads = shard.disk.started(sim::Call::read);
  std::vector<std::uint64_t> ids;
  for (std::uint64_t i = 0; i < 10; ++i) {
    ids.push_back(shard.send(ShardFixture::fetch_request("orders", i)));
  }
  shard.advance(seconds(1));
  CHECK(shard.disk.started(sim::Call::read) == reads);
  CHECK(shard.process->metrics.parked_fetches.get() == 10);
  shard.clients.room.clear();
  shard.advance(seconds(1));
  for (const auto id : ids) CHECK(shard.has_reply(id));
}

TEST_CASE("a client that is busy for a while gets everything, in order") {
  Subscriber shard;
  std::vector<std::string> sent;
  for (int i = 0; i < 30; ++i) {
    sent.push_back(std::to_string(i) + std::string(2000, 'x'));
    shard.must_produce("orders", sent.back());
  }
  const auto id = shard.subscribe(1, 0, much * 4);
  shard.clients.room[ShardFixture::alice] = 0;
  const auto ping = shard.send(PingRequest{});
  shard.settle();
  CHECK_FALSE(shard.has_reply(ping));
  std::vector<std::string> got;
  for (int i = 0; i < 100 && got.size() < sent.size(); ++i) {
    shard.clients.room[ShardFixture::alice] = 1;
    shard.advance(milliseconds(20));
    for (auto& payload : shard.pushed(id)) got.push_back(std::move(payload));
    shard.take(ping);
  }
  CHECK(got == sent);
}

TEST_CASE("all clients together stay below the broker's limit") {
  auto options = small_broker_options();
  options.limits.reply_bytes_max = 256 * KiB;
  Subscriber shard(options);
  for (int i = 0; i < 60; ++i) shard.must_produce("orders", std::string(30'000, 'x'));
  shard.restart();
  for (std::uint64_t c = 10; c < 60; ++c) {
    shard.send(ShardFixture::fetch_request("orders", 0), ClientHandle{c});
    CHECK(shard.process->metrics.reply_bytes.get() <= 256 * KiB + 40'000);
  }
  shard.settle();
  for (std::uint64_t c = 10; c < 60; ++c) CHECK(shard.clients.replies[ClientHandle{c}].size() == 1);
  CHECK(shard.process->metrics.reply_bytes.get() == 0);
}

TEST_CASE("the live feed gets each durable batch once, in order, and only of topics that want it") {
  Subscriber shard;
  shard.create("quiet", 1, {"live=false"});
  for (int i = 0; i < 5; ++i) {
    shard.must_produce("orders", std::to_string(i));
    shard.must_produce("quiet", "psst");
  }
  REQUIRE(shard.live.published.size() == 5);
  for (std::size_t i = 0; i < 5; ++i) {
    const auto batch = view_of(shard.live.published[i].bytes);
    CHECK(shard.live.published[i].topic == "orders");
    CHECK(batch.header().base_offset == Offset{i});
    CHECK(events_of(batch).at(0).payload == std::to_string(i));
  }
}
