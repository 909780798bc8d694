#include "tests/broker/shard_fixture.h"

using namespace millrace;
using namespace millrace::test;

TEST_CASE("PS-01: a stop makes durable and answers what was taken, and refuses the rest") {
  RunningShard shard;
  shard.create("orders");
  shard.must_produce("orders", "a");
  const auto batch = make_batch("b");
  const auto produced = shard.send(ShardFixture::produce_request("orders", batch));
  const auto fetch =
      shard.send(ShardFixture::fetch_request("orders", 2, 60'000), ShardFixture::bob);
  const auto waiting =
      shard.send(ShardFixture::fetch_request("orders", 1, 60'000), ShardFixture::bob);
  const auto subscription =
      shard.send(SubscribeRequest{1, {"orders", {}}, 0, Offset{1}, 1000}, ShardFixture::bob);
  bool stopped = false;
  shard.process->shard.stop([&](const Result<void>& result) {
    CHECK(result);
    stopped = true;
  });
  const auto late = shard.send(ShardFixture::produce_request("orders", batch));
  const auto ping = shard.send(PingRequest{});
  CHECK(shard.refusal(shard.wait(late)) == Errc::shutting_down);
  CHECK(shard.refusal(shard.wait(ping)) == Errc::shutting_down);
  CHECK(shard.refusal(shard.wait(waiting, ShardFixture::bob)) == Errc::shutting_down);
  CHECK(shard.refusal(shard.wait(fetch, ShardFixture::bob)) == Errc::offset_out_of_range);
  REQUIRE(shard.run_until([&] { return stopped; }));
  CHECK(shard.expect<ProducedReply>(shard.wait(produced)).offsets.begin == Offset{1});
  const auto replies = shard.take(subscription, ShardFixture::bob);
  REQUIRE(replies.size() == 2);
  CHECK(std::get<Error>(replies[1].body).code == Errc::shutting_down);
  CHECK(shard.disk.in_flight() == 0);
  CHECK(shard.disk.open_files() == 0);
  shard.process.reset();
  shard.must_start();
  CHECK(shard.read_all("orders") == std::vector<std::string>{"a", "b"});
}

TEST_CASE("PS-01: a stop in the middle of creations and deletions ends") {
  for (int turns = 0; turns < 30; ++turns) {
    INFO(turns);
    RunningShard shard;
    shard.create("old");
    shard.send(CreateTopicRequest{"orders", 3, {}});
    shard.send(CreateTopicRequest{"orders", 3, {}}, ShardFixture::bob);
    shard.send(DeleteTopicRequest{{"old", {}}});
    for (int i = 0; i < turns; ++i) shard.turn();
    shard.restart();
    shard.settle();
    for (const auto& name : shard.topic_names()) CHECK(shard.read_all(name).empty());
    CHECK(shard.disk.names("topics").size() == shard.topic_names().size());
  }
}

TEST_CASE("PS-01: a client that does not read does not keep the broker from stopping") {
  RunningShard shard;
  shard.clients.room[ShardFixture::alice] = 0;
  shard.send(PingRequest{});
  const auto begin = shard.clock.now();
  bool stopped = false;
  shard.process->shard.stop([&](const Result<void>&) { stopped = true; });
  REQUIRE(shard.run_until([&] { return stopped; }));
  CHECK(shard.clock.now() - begin <= seconds(2));
  shard.process.reset();
}

TEST_CASE("a stop before the start has ended") {
  for (int turns = 0; turns < 12; ++turns) {
    RunningShard shard;
    shard.create("orders", 5);
    shard.stop();
    shard.process = std::make_unique<ShardFixture::Process>(shard);
    bool started = false, stopped = false;
    shard.process->shard.start([&](const Result<void>&) { started = true; });
    for (int i = 0; i < turns; ++i) shard.turn();
    shard.process->shard.stop([&](const Result<void>&) { stopped = true; });
    REQUIRE(shard.run_until([&] { return stopped; }));
    CHECK(started);
    shard.process.reset();
  }
}

TEST_CASE("requests before the start has ended are refused and may be tried again") {
  ShardFixture shard;
  shard.process = std::make_unique<ShardFixture::Process>(shard);
  bool started = false;
  shard.process->shard.start([&](const Result<void>&) { started = true; });
  const auto ping = shard.send(PingRequest{});
  CHECK(shard.refusal(shard.wait(ping)) == Errc::overloaded);
  REQUIRE(shard.run_until([&] { return started; }));
}

TEST_CASE("many topics are opened, a bounded number at a time") {
  RunningShard shard;
  for (int i = 0; i < 5; ++i) shard.create("t" + std::to_string(i), 40);
  shard.stop();
  shard.disk.set_latency_reaps(3);
  shard.process = std::make_unique<ShardFixture::Process>(shard);
  bool started = false;
  std::size_t most = 0;
  shard.process->shard.start([&](const Result<void>&) { started = true; });
  while (!started) {
    shard.turn();
    most = std::max(most, shard.disk.in_flight());
  }
  CHECK(most <= 64);
  CHECK(most > 8);
  CHECK(shard.process->shard.partition_statuses().size() == 200);
}

TEST_CASE("ST-12: the disk's watermarks warn, refuse producing and recover by themselves") {
  RunningShard shard;
  shard.create("orders");
  shard.must_produce("orders", "x");
  shard.disk.write_file("filler", std::vector<std::byte>(64 * MiB));
  auto& state = shard.process->metrics.disk_watermark_state;
  const auto used = shard.disk.used_bytes();
  const auto batch = make_batch("y");
  CHECK(state.get() == 0);
  shard.disk.set_capacity(used * 100 / 90);
  shard.advance(seconds(2));
  CHECK(state.get() == 1);
  shard.must_produce("orders", "still");
  shard.disk.set_capacity(shard.disk.used_bytes() * 100 / 97);
  shard.advance(seconds(2));
  CHECK(state.get() == 2);
  CHECK(shard.refusal(shard.produce("orders", batch)) == Errc::storage_full);
  // Everything else goes on.
  CHECK(shard.read_all("orders").size() == 2);
  const auto trimmed = shard.expect<OffsetListReply>(
      shard.call(TrimTopicRequest{{"orders", {}}, 0, {Where::Kind::offset, 1}}));
  CHECK(trimmed.offset == Offset{1});
  shard.disk.set_capacity(std::uint64_t{1} << 30);
  shard.advance(seconds(2));
  CHECK(state.get() == 0);
  shard.must_produce("orders", "after");
}

TEST_CASE("retention runs by itself") {
  auto options = small_broker_options();
  RunningShard shard(1, options);
  shard.create("orders", 1,
               {"batch_bytes_max=64 KiB", "segment_bytes=64 KiB", "retention_bytes=128 KiB"});
  for (int i = 0; i < 40; ++i) shard.must_produce("orders", std::string(10'000, 'x'));
  shard.advance(seconds(61));
  const auto status = shard.process->shard.partition_statuses();
  REQUIRE(status.size() == 1);
  CHECK(status[0].start_offset > Offset{0});
  CHECK(status[0].durable_end == Offset{40});
  CHECK(status[0].events_appended == 40);
}

TEST_CASE("metrics are true after a busy while") {
  RunningShard shard;
  shard.create("orders");
  for (int i = 0; i < 10; ++i) shard.must_produce("orders", "x");
  shard.read_all("orders");
  auto& metrics = shard.process->metrics;
  CHECK(metrics.events_appended.get() == 10);
  CHECK(metrics.commit_events.get() == 10);
  CHECK(metrics.commits.get() <= 10);
  CHECK(metrics.events_fetched.get() == 10);
  CHECK(shard.live.published.size() == 10);
  CHECK(metrics.append_bytes.get() > 0);
  CHECK(metrics.fetch_bytes.get() > 0);
  CHECK(metrics.staged_bytes.get() == 0);
  CHECK(metrics.clients.get() == 0);
  std::uint64_t acks = 0;
  for (std::size_t i = 0; i < LatencyHistogram::buckets; ++i)
    acks += metrics.append_latency.count(i);
  CHECK(acks == 10);
}

TEST_CASE("a shard at rest does not ask for another turn") {
  RunningShard shard;
  shard.create("orders");
  shard.send(ShardFixture::fetch_request("orders", 0, 60'000));
  shard.send(SubscribeRequest{1, {"orders", {}}, 0, Offset{0}, 1000});
  shard.clients.room[ShardFixture::bob] = 0;
  shard.send(PingRequest{}, ShardFixture::bob);
  shard.settle();
  CHECK_FALSE(shard.process->shard.turn());
  CHECK(shard.process->timers.next_deadline() > shard.clock.now());
}
