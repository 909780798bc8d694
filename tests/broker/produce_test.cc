#include "tests/broker/shard_fixture.h"

using namespace millrace;
using namespace millrace::test;

TEST_CASE("a batch is acked with its offsets and read back") {
  RunningShard shard;
  shard.create("orders");
  const auto first = shard.must_produce("orders", "a");
  CHECK(first.offsets == OffsetRange{Offset{0}, Offset{1}});
  CHECK(first.ack == Ack::durable);
  CHECK_FALSE(first.duplicate);
  const auto second =
      shard.expect<ProducedReply>(shard.produce("orders", make_batch({{"k", "b"}, {"k", "c"}})));
  CHECK(second.offsets == OffsetRange{Offset{1}, Offset{3}});
  CHECK(shard.read_all("orders") == std::vector<std::string>{"a", "b", "c"});
  CHECK(shard.process->metrics.events_appended.get() == 3);
  CHECK(shard.process->metrics.commit_events.get() == 3);
}

TEST_CASE("G1: a durable ack comes after the disk has the batch, never before") {
  RunningShard shard;
  shard.create("orders");
  shard.must_produce("orders", "first");
  shard.disk.hold(sim::Call::synced_write);
  const auto batch = make_batch("second");
  const auto id = shard.send(ShardFixture::produce_request("orders", batch));
  shard.settle_held();
  CHECK_FALSE(shard.has_reply(id));
  // G6: not to be read and not on the feed either.
  const auto fetched = shard.send(ShardFixture::fetch_request("orders", 1));
  REQUIRE(shard.has_reply(fetched));
  CHECK(shard.expect<FetchedReply>(shard.wait(fetched)).data.empty());
  CHECK(shard.live.published.size() == 1);
  shard.disk.release(sim::Call::synced_write);
  CHECK(shard.expect<ProducedReply>(shard.wait(id)).offsets.begin == Offset{1});
  CHECK(shard.live.published.size() == 2);
}

TEST_CASE("a received ack comes at once and none is not answered") {
  RunningShard shard;
  shard.create("orders");
  shard.must_produce("orders", "first");
  shard.disk.hold(sim::Call::synced_write);
  const auto batch = make_batch("x");
  const auto received = shard.send(ShardFixture::produce_request("orders", batch, Ack::received));
  CHECK(shard.has_reply(received));
  const auto reply = shard.expect<ProducedReply>(shard.wait(received));
  CHECK(reply.ack == Ack::received);
  CHECK(reply.offsets.begin == Offset{1});
  const auto none = shard.send(ShardFixture::produce_request("orders", batch, Ack::none));
  shard.disk.release(sim::Call::synced_write);
  shard.advance(seconds(1));
  CHECK_FALSE(shard.has_reply(none));
  CHECK(shard.read_all("orders").size() == 3);
  // ... unless it is refused.
  CHECK(shard.refusal(shard.call(ShardFixture::produce_request("nowhere", batch, Ack::none))) ==
        Errc::unknown_topic);
}

TEST_CASE("produce is refused for topics and partitions that are not there") {
  RunningShard shard;
  const auto info = shard.create("orders", 2);
  const auto batch = make_batch("x");
  CHECK(shard.refusal(shard.produce("nowhere", batch)) == Errc::unknown_topic);
  CHECK(shard.refusal(shard.produce("orders", batch, Ack::durable, 2)) == Errc::unknown_partition);
  CHECK(shard.refusal(shard.produce("orders", batch, Ack::durable, UINT32_MAX)) ==
        Errc::unknown_partition);
  auto request = ShardFixture::produce_request("orders", batch);
  request.topic.id = info.id;
  shard.expect<ProducedReply>(shard.call(request));
  request.topic.id.bytes[0] ^= 1;
  CHECK(shard.refusal(shard.call(request)) == Errc::unknown_topic);
  CHECK(
      shard.process->metrics.append_rejected[static_cast<std::size_t>(Errc::unknown_topic)].get() ==
      2);
}

TEST_CASE("a batch above the topic's limit is refused whole") {
  RunningShard shard;
  shard.create("orders", 1, {"batch_bytes_max=1 KiB"});
  CHECK(shard.refusal(shard.produce("orders", make_batch_of_bytes(2048))) == Errc::too_large);
  CHECK(shard.read_all("orders").empty());
  shard.must_produce("orders", "small");
}

TEST_CASE("PR-10: retries, gaps, conflicts and epochs over the wire of a shard") {
  RunningShard shard;
  shard.create("orders");
  const auto produce = [&](std::uint32_t epoch, std::uint64_t sequence, std::string_view payload) {
    return shard.produce("orders", make_batch(payload, {77, epoch, sequence}));
  };
  CHECK(shard.refusal(produce(0, 1, "b")) == Errc::unknown_producer);
  CHECK(shard.expect<ProducedReply>(produce(0, 0, "a")).offsets.begin == Offset{0});
  CHECK(shard.refusal(produce(0, 2, "c")) == Errc::out_of_order);
  CHECK(shard.expect<ProducedReply>(produce(0, 1, "b")).offsets.begin == Offset{1});
  const auto again = shard.expect<ProducedReply>(produce(0, 0, "a"));
  CHECK(again.duplicate);
  CHECK(again.offsets == OffsetRange{Offset{0}, Offset{1}});
  CHECK(shard.refusal(produce(0, 1, "B")) == Errc::sequence_conflict);
  CHECK(shard.expect<ProducedReply>(produce(1, 0, "d")).offsets.begin == Offset{2});
  CHECK(shard.refusal(produce(0, 2, "c")) == Errc::fenced);
  CHECK(shard.read_all("orders") == std::vector<std::string>{"a", "b", "d"});
}

TEST_CASE("PR-10, PR-11: the session survives an orderly restart and a loss of power") {
  RunningShard shard;
  shard.create("orders");
  const auto a = make_batch("a", {77, 0, 0}), b = make_batch("b", {77, 0, 1});
  shard.expect<ProducedReply>(shard.produce("orders", a));
  shard.restart();
  CHECK(shard.expect<ProducedReply>(shard.produce("orders", a)).duplicate);
  shard.expect<ProducedReply>(shard.produce("orders", b));
  shard.crash(sim::CrashPolicy::none());
  shard.must_start();
  const auto again = shard.expect<ProducedReply>(shard.produce("orders", b));
  CHECK(again.duplicate);
  CHECK(again.offsets.begin == Offset{1});
  CHECK(shard.read_all("orders") == std::vector<std::string>{"a", "b"});
}

TEST_CASE(
    "G4: the retry of a batch that is still on its way is answered when the first attempt is "
    "durable") {
  RunningShard shard;
  shard.create("orders");
  shard.must_produce("orders", "x");
  shard.disk.hold(sim::Call::synced_write);
  const auto a = make_batch("a", {77, 0, 0}), b = make_batch("b", {77, 0, 1});
  const auto first = shard.send(ShardFixture::produce_request("orders", a));
  const auto second = shard.send(ShardFixture::produce_request("orders", b));
  shard.settle_held();
  const auto retry = shard.send(ShardFixture::produce_request("orders", a), ShardFixture::bob);
  shard.settle_held();
  CHECK_FALSE(shard.has_reply(first));
  CHECK_FALSE(shard.has_reply(retry, ShardFixture::bob));
  shard.disk.release(sim::Call::synced_write);
  const auto answer = shard.expect<ProducedReply>(shard.wait(retry, ShardFixture::bob));
  CHECK(answer.duplicate);
  CHECK(answer.offsets.begin == Offset{1});
  CHECK(shard.expect<ProducedReply>(shard.wait(first)).offsets.begin == Offset{1});
  CHECK(shard.expect<ProducedReply>(shard.wait(second)).offsets.begin == Offset{2});
  CHECK(shard.read_all("orders") == std::vector<std::string>{"x", "a", "b"});
}

TEST_CASE("ST-14: a failed write fails every waiting ack, nothing is acked, reading goes on") {
  RunningShard shard;
  shard.create("orders");
  shard.must_produce("orders", "before");
  shard.advance(seconds(2));
  shard.disk.inject({sim::Call::synced_write, Errc::storage_error, 1, false, ""});
  const auto a = make_batch("a", {77, 0, 0}), b = make_batch("b");
  const auto first = shard.send(ShardFixture::produce_request("orders", a));
  const auto second = shard.send(ShardFixture::produce_request("orders", b), ShardFixture::bob);
  CHECK(shard.refusal(shard.wait(first)) == Errc::storage_error);
  CHECK(shard.refusal(shard.wait(second, ShardFixture::bob)) == Errc::storage_error);
  CHECK(shard.refusal(shard.produce("orders", b)) == Errc::storage_error);
  // A retry of what failed must not be taken for a duplicate of something that is there.
  CHECK(shard.refusal(shard.produce("orders", a)) == Errc::storage_error);
  CHECK(shard.read_all("orders") == std::vector<std::string>{"before"});
  CHECK(shard.live.published.size() == 1);
  const auto info = shard.expect<TopicInfoReply>(shard.call(DescribeTopicRequest{{"orders", {}}}));
  CHECK(info.partition_infos.at(0).state != "ok");
  // What will never be written takes no room from other topics.
  shard.settle();
  CHECK(shard.process->metrics.staged_bytes.get() == 0);
  shard.create("other");
  shard.must_produce("other", "y");
}

TEST_CASE(
    "ST-12: a full disk refuses, G5: what was refused is never readable, and it recovers by "
    "itself") {
  RunningShard shard;
  shard.create("orders");
  shard.must_produce("orders", "before");
  const auto used = shard.disk.used_bytes();
  shard.disk.set_capacity(used);
  // Fills what is preallocated, then meets the end of the disk.
  std::vector<std::string> acked = {"before"};
  std::size_t refused = 0;
  for (int i = 0; i < 200 && refused < 5; ++i) {
    const std::string payload = "full-" + std::to_string(i) + std::string(2000, 'x');
    auto reply = shard.produce("orders", make_batch(payload));
    if (std::holds_alternative<ProducedReply>(reply)) {
      acked.push_back(payload);
    } else {
      CHECK(shard.refusal(std::move(reply)) == Errc::storage_full);
      ++refused;
    }
  }
  CHECK(refused == 5);
  CHECK(shard.read_all("orders") == acked);
  shard.disk.set_capacity(std::uint64_t{1} << 30);
  shard.advance(seconds(3));
  shard.must_produce("orders", "after");
  acked.push_back("after");
  CHECK(shard.read_all("orders") == acked);
  shard.crash(sim::CrashPolicy::all());
  shard.must_start();
  CHECK(shard.read_all("orders") == acked);
}

TEST_CASE("staged bytes above the broker's limit are refused and retried in order") {
  auto options = small_broker_options();
  options.limits.staged_bytes_max = 8 * KiB;
  RunningShard shard(1, options);
  shard.create("orders");
  shard.must_produce("orders", "x");
  shard.disk.hold(sim::Call::synced_write);
  std::vector<std::uint64_t> ids;
  std::vector<Bytes> batches;
  for (std::uint64_t i = 0; i < 8; ++i)
    batches.push_back(make_batch(std::string(3000, 'y'), {9, 0, i}));
  for (const auto& batch : batches)
    ids.push_back(shard.send(ShardFixture::produce_request("orders", batch)));
  CHECK(shard.refusal(shard.wait(ids[3])) == Errc::overloaded);
  shard.disk.release(sim::Call::synced_write);
  shard.expect<ProducedReply>(shard.wait(ids[0]));
  shard.expect<ProducedReply>(shard.produce("orders", batches[0]));
  for (std::size_t i = 2; i < batches.size(); ++i)
    shard.expect<ProducedReply>(shard.produce("orders", batches[i]));
  CHECK(shard.read_all("orders").size() == 9);
}

TEST_CASE("acks of one partition come in the order of their offsets, whoever sent them") {
  RunningShard shard;
  shard.create("orders");
  std::vector<std::uint64_t> ids;
  for (int i = 0; i < 50; ++i) {
    const auto batch = make_batch("m" + std::to_string(i));
    ids.push_back(shard.send(ShardFixture::produce_request("orders", batch)));
    if (i % 7 == 0) shard.turn();
  }
  REQUIRE(shard.run_until([&] { return shard.has_reply(ids.back()); }));
  std::uint64_t next = 0;
  for (const auto& reply : shard.clients.replies[ShardFixture::alice]) {
    CHECK(std::get<ProducedReply>(reply.body).offsets.begin.value == next++);
  }
  CHECK(next == 50);
}
