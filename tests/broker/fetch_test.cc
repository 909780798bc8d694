#include "broker/fetch/where_lookups.h"
#include "tests/broker/shard_fixture.h"

#include <fmt/core.h>

using namespace millrace;
using namespace millrace::test;

namespace {

FetchRequest request(std::uint64_t offset, std::uint32_t wait_ms, std::uint32_t min_bytes = 1,
                     std::uint32_t max_bytes = 1 << 20) {
  FetchRequest r = ShardFixture::fetch_request("orders", offset, wait_ms);
  r.min_bytes = min_bytes;
  r.max_bytes = max_bytes;
  return r;
}

struct WithTopic : RunningShard {
  explicit WithTopic(BrokerOptions broker_options = small_broker_options())
      : RunningShard(1, broker_options) {
    create("orders");
  }
  FetchedReply fetch(const FetchRequest& r) { return expect<FetchedReply>(call(r)); }
};

}  // namespace

TEST_CASE("a fetch gives whole batches from the one that holds the offset") {
  WithTopic shard;
  shard.expect<ProducedReply>(
      shard.produce("orders", make_batch({{"", "a"}, {"", "b"}, {"", "c"}})));
  shard.must_produce("orders", "d");
  const auto reply = shard.fetch(request(1, 0));
  CHECK(ShardFixture::payloads_of(reply.data) == std::vector<std::string>{"a", "b", "c", "d"});
  CHECK(reply.next_offset == Offset{4});
  CHECK(reply.start_offset == Offset{0});
  CHECK(reply.end_offset == Offset{4});
}

TEST_CASE("at least one batch is given even when it is larger than the maximum") {
  WithTopic shard;
  shard.expect<ProducedReply>(shard.produce("orders", make_batch_of_bytes(5000)));
  shard.must_produce("orders", "d");
  const auto reply = shard.fetch(request(0, 0, 1, 100));
  CHECK(reply.next_offset == Offset{1});
  CHECK(ShardFixture::payloads_of(reply.data).size() == 1);
}

TEST_CASE("a fetch at the end waits until something is durable") {
  WithTopic shard;
  const auto id = shard.send(request(0, 10'000));
  shard.settle();
  CHECK_FALSE(shard.has_reply(id));
  CHECK(shard.process->metrics.parked_fetches.get() == 1);
  shard.must_produce("orders", "a");
  const auto reply = shard.expect<FetchedReply>(shard.wait(id));
  CHECK(ShardFixture::payloads_of(reply.data) == std::vector<std::string>{"a"});
  shard.settle();
  CHECK(shard.process->metrics.parked_fetches.get() == 0);
}

TEST_CASE("a fetch at the end that waits in vain is answered empty at its deadline") {
  WithTopic shard;
  const auto begin = shard.clock.now();
  const auto id = shard.send(request(0, 500));
  const auto reply = shard.expect<FetchedReply>(shard.wait(id));
  CHECK(reply.data.empty());
  CHECK(reply.next_offset == Offset{0});
  CHECK(shard.clock.now() - begin == milliseconds(500));
}

TEST_CASE("a fetch waits for its minimum and takes what is there at the deadline") {
  WithTopic shard;
  shard.must_produce("orders", "a");
  const auto enough = shard.send(request(0, 10'000, 3000));
  const auto late = shard.send(request(0, 1000, 1 << 20));
  shard.settle();
  shard.expect<ProducedReply>(shard.produce("orders", make_batch_of_bytes(1000)));
  shard.settle();
  CHECK_FALSE(shard.has_reply(enough));
  shard.expect<ProducedReply>(shard.produce("orders", make_batch_of_bytes(2500)));
  shard.settle();
  REQUIRE(shard.has_reply(enough));
  CHECK(shard.expect<FetchedReply>(shard.wait(enough)).next_offset == Offset{3});
  CHECK_FALSE(shard.has_reply(late));
  CHECK(shard.expect<FetchedReply>(shard.wait(late)).next_offset == Offset{3});
}

TEST_CASE("PR-23: extreme numbers in a fetch are clamped or refused") {
  WithTopic shard;
  shard.must_produce("orders", "a");
  for (const std::uint64_t offset :
       {std::uint64_t{2}, std::uint64_t{1} << 62, std::uint64_t{1} << 63, UINT64_MAX}) {
    const auto error = shard.expect<Error>(shard.call(request(offset, 0)));
    CHECK(error.code == Errc::offset_out_of_range);
    CHECK(error.range_begin == 0);
    CHECK(error.range_end == 1);
  }
  CHECK(shard.fetch(request(0, 0, 0, 0)).next_offset == Offset{1});
  CHECK(shard.fetch(request(0, 0, UINT32_MAX, UINT32_MAX)).next_offset == Offset{1});
  CHECK(shard.fetch(request(1, 0, 0, 0)).data.empty());
  // A wait of 49 days is 60 seconds.
  const auto begin = shard.clock.now();
  const auto id = shard.send(request(1, UINT32_MAX, UINT32_MAX, UINT32_MAX));
  shard.wait(id);
  CHECK(shard.clock.now() - begin == seconds(60));
}

TEST_CASE("an offset below the start is refused with the new start") {
  WithTopic shard;
  for (int i = 0; i < 5; ++i) shard.must_produce("orders", "x");
  const auto trimmed = shard.expect<OffsetListReply>(
      shard.call(TrimTopicRequest{{"orders", {}}, 0, {Where::Kind::offset, 3}}));
  CHECK(trimmed.offset == Offset{3});
  const auto error = shard.expect<Error>(shard.call(request(2, 0)));
  CHECK(error.code == Errc::offset_out_of_range);
  CHECK(error.range_begin == 3);
  CHECK(error.range_end == 5);
  CHECK(shard.fetch(request(3, 0)).next_offset == Offset{5});
}

TEST_CASE("PR-24: the same request id twice in flight is refused") {
  WithTopic shard;
  const auto id = shard.send(request(0, 10'000));
  shard.process->shard.handle(ShardFixture::alice, {id, request(0, 10'000)});
  CHECK(shard.refusal(shard.wait(id)) == Errc::bad_state);
  // Another client's ids are its own.
  shard.process->shard.handle(ShardFixture::bob, {id, request(0, 10'000)});
  shard.settle();
  CHECK_FALSE(shard.has_reply(id, ShardFixture::bob));
}

TEST_CASE("the number of a client's waiting fetches is bounded") {
  auto options = small_broker_options();
  options.limits.parked_fetches_per_client_max = 3;
  WithTopic shard(options);
  std::vector<std::uint64_t> ids;
  for (int i = 0; i < 4; ++i) ids.push_back(shard.send(request(0, 10'000)));
  CHECK(shard.refusal(shard.wait(ids[3])) == Errc::overloaded);
  const auto other = shard.send(request(0, 10'000), ShardFixture::bob);
  CHECK_FALSE(shard.has_reply(other, ShardFixture::bob));
}

TEST_CASE("what is no longer in memory is read from disk") {
  WithTopic shard;
  std::vector<std::string> sent;
  for (int i = 0; i < 60; ++i) {
    sent.push_back(std::to_string(i) + std::string(3000, 'x'));
    shard.must_produce("orders", sent.back());
  }
  shard.restart();
  const auto reads = shard.disk.started(sim::Call::read);
  CHECK(shard.read_all("orders") == sent);
  CHECK(shard.disk.started(sim::Call::read) > reads);
}

TEST_CASE("G7: a damaged range is named and reading goes on behind it") {
  WithTopic shard;
  std::vector<std::string> sent;
  for (int i = 0; i < 60; ++i) {
    sent.push_back(std::to_string(i) + std::string(3000, 'x'));
    shard.must_produce("orders", sent.back());
  }
  const auto info = shard.expect<TopicInfoReply>(shard.call(DescribeTopicRequest{{"orders", {}}}));
  shard.stop();
  const std::string path = "topics/" + info.id.to_hex() + "/0/00000000000000000000.segment";
  shard.disk.corrupt(path, 4096 + 2000, 0x40);
  shard.must_start();
  const auto error = shard.expect<Error>(shard.call(request(0, 0)));
  CHECK(error.code == Errc::corrupt);
  CHECK(error.range_begin == 0);
  REQUIRE(error.range_end >= 1);
  const auto rest = shard.read_all("orders", error.range_end);
  CHECK(rest == std::vector<std::string>(
                    sent.begin() + static_cast<std::ptrdiff_t>(error.range_end), sent.end()));
  const auto after = shard.expect<TopicInfoReply>(shard.call(DescribeTopicRequest{{"orders", {}}}));
  CHECK(after.partition_infos.at(0).corrupt_events == error.range_end - error.range_begin);
  CHECK(after.partition_infos.at(0).state != "ok");
}

TEST_CASE("G8 PR-14: replies that others do not take do not stop who reads") {
  WithTopic shard;
  shard.must_produce("orders", "x");
  shard.clients.pinned[ShardFixture::bob] = shard.options.limits.reply_bytes_max;
  const auto reply = shard.expect<FetchedReply>(shard.call(request(0, 0)));
  CHECK(reply.next_offset == Offset{1});
}

TEST_CASE("G8 PR-14: first replies to many that do not read have a bound of their own") {
  WithTopic shard;
  shard.must_produce("orders", "x");
  const std::uint64_t all = shard.options.limits.reply_bytes_max;
  shard.clients.pinned[ShardFixture::bob] = all + all / 4;
  const auto id = shard.send(request(0, 0));
  shard.settle();
  CHECK_FALSE(shard.has_reply(id));
  --shard.clients.pinned[ShardFixture::bob];
  CHECK(shard.expect<FetchedReply>(shard.wait(id)).next_offset == Offset{1});
}

TEST_CASE("PR-14: a read from disk counts for the memory that it takes, not for what was asked") {
  BrokerOptions options = small_broker_options();
  options.limits.client_bytes_max = 1 * MiB;
  WithTopic shard(options);
  for (int i = 0; i < 60; ++i) shard.must_produce("orders", std::string(3000, 'x'));
  shard.restart();
  shard.fetch(request(0, 0));  // from now on the index is there, and all may read
  shard.disk.hold(sim::Call::read);
  std::vector<std::uint64_t> ids;
  for (int i = 0; i < 100; ++i) ids.push_back(shard.send(request(0, 0, 1, 1)));
  shard.settle_held();
  CHECK(shard.disk.in_flight() == 1 * MiB / read_memory_min);
  shard.disk.release(sim::Call::read);
  for (const auto id : ids) shard.expect<FetchedReply>(shard.wait(id));
}

TEST_CASE("PR-14: a large list that its client has no room for is refused, and says why") {
  WithTopic shard;
  for (int i = 0; i < 700; ++i) shard.create(fmt::format("{:0>100}", i));
  shard.clients.pinned[ShardFixture::alice] = shard.options.limits.client_bytes_max - 1000;
  const auto error = shard.expect<Error>(shard.call(ListTopicsRequest{}));
  CHECK(error.code == Errc::overloaded);
  shard.clients.pinned.clear();
  CHECK(shard.expect<TopicListReply>(shard.call(ListTopicsRequest{})).topics.size() == 701);
}

TEST_CASE("PR-14: who holds nothing gets a large list though others hold all there is") {
  WithTopic shard;
  for (int i = 0; i < 700; ++i) shard.create(fmt::format("{:0>100}", i));
  const auto& limits = shard.options.limits;
  shard.clients.pinned[ShardFixture::bob] = limits.reply_bytes_max;
  CHECK(shard.expect<TopicListReply>(shard.call(ListTopicsRequest{})).topics.size() == 701);
  // Not any number of them.
  shard.clients.pinned[ShardFixture::bob] = limits.reply_bytes_max + limits.reply_bytes_max / 4;
  const auto by_others = shard.expect<Error>(shard.call(ListTopicsRequest{}));
  CHECK(by_others.code == Errc::overloaded);
  CHECK(by_others.text.find("limits.reply_bytes_max = 512 MiB") != std::string::npos);
  // Nor who holds something.
  shard.clients.pinned[ShardFixture::bob] = limits.reply_bytes_max;
  shard.clients.pinned[ShardFixture::alice] = 1;
  CHECK(shard.refusal(shard.call(ListTopicsRequest{})) == Errc::overloaded);
  shard.clients.pinned.clear();
  shard.clients.pinned[ShardFixture::alice] = limits.client_bytes_max - 1000;
  const auto by_own = shard.expect<Error>(shard.call(ListTopicsRequest{}));
  CHECK(by_own.text.find("limits.client_bytes_max = 32 MiB") != std::string::npos);
  CHECK(by_own.text.find("reply_bytes_max") == std::string::npos);
}

TEST_CASE("PR-14: a list larger than one client may hold waits for a client that is busy") {
  BrokerOptions options = small_broker_options();
  options.limits.client_bytes_max = 64 * KiB;
  WithTopic shard(options);
  for (int i = 0; i < 700; ++i) shard.create(fmt::format("{:0>100}", i));
  shard.clients.room[ShardFixture::alice] = 0;
  const auto id = shard.send(ListTopicsRequest{});
  shard.settle();
  CHECK_FALSE(shard.has_reply(id));
  shard.clients.room.clear();
  CHECK(shard.expect<TopicListReply>(shard.wait(id)).topics.size() == 701);
}

TEST_CASE("PR-14: what the port has taken for a client counts until the network has it") {
  WithTopic shard;
  shard.must_produce("orders", "x");
  shard.clients.pinned[ShardFixture::alice] = shard.options.limits.client_bytes_max;
  const auto id = shard.send(request(0, 0));
  shard.settle();
  CHECK_FALSE(shard.has_reply(id));
  shard.clients.pinned.clear();
  CHECK(shard.expect<FetchedReply>(shard.wait(id)).next_offset == Offset{1});
}

TEST_CASE("PR-14: a great many lookups by time take memory for a few, and all are answered") {
  WithTopic shard;
  for (int i = 0; i < 60; ++i) shard.must_produce("orders", std::string(3000, 'x'));
  shard.restart();
  shard.disk.hold(sim::Call::read);
  std::vector<std::uint64_t> ids;
  for (int i = 0; i < 200; ++i)
    ids.push_back(shard.send(ListOffsetsRequest{{"orders", {}}, 0, {Where::Kind::time, 1}}));
  shard.settle_held();
  CHECK(shard.disk.in_flight() <= WhereLookups::searches_max);
  shard.disk.release(sim::Call::read);
  for (const auto id : ids) shard.expect<OffsetListReply>(shard.wait(id));
}

TEST_CASE("a client that goes takes its fetches along") {
  WithTopic shard;
  shard.must_produce("orders", std::string(3000, 'x'));
  shard.restart();
  shard.send(request(0, 0));  // reads from disk
  shard.send(request(1, 10'000));
  shard.process->shard.client_gone(ShardFixture::alice);
  shard.clients.gone.insert(ShardFixture::alice);
  shard.settle();
  CHECK(shard.process->metrics.parked_fetches.get() == 0);
  CHECK(shard.process->metrics.clients.get() == 0);
  CHECK(shard.process->metrics.reply_bytes.get() == 0);
  CHECK(shard
            .expect<ProducedReply>(shard.call(
                ShardFixture::produce_request("orders", make_batch("y")), ShardFixture::bob))
            .offsets.begin == Offset{1});
}

TEST_CASE("places are turned into offsets") {
  WithTopic shard;
  const auto where = [&](Where::Kind kind, std::int64_t value) {
    return shard
        .expect<OffsetListReply>(shard.call(ListOffsetsRequest{{"orders", {}}, 0, {kind, value}}))
        .offset.value;
  };
  CHECK(where(Where::Kind::start, 0) == 0);
  CHECK(where(Where::Kind::end, 0) == 0);
  CHECK(where(Where::Kind::time, 0) == 0);
  std::vector<WallTime> times;
  for (int i = 0; i < 5; ++i) {
    times.push_back(shard.must_produce("orders", "x").append_time);
    shard.clock.advance(seconds(10));
  }
  CHECK(where(Where::Kind::start, 0) == 0);
  CHECK(where(Where::Kind::end, 0) == 5);
  CHECK(where(Where::Kind::before_end, 2) == 3);
  CHECK(where(Where::Kind::before_end, INT64_MAX) == 0);
  CHECK(where(Where::Kind::offset, 3) == 3);
  CHECK(where(Where::Kind::offset, INT64_MAX) == 5);
  CHECK(where(Where::Kind::offset, -1) == 0);
  CHECK(where(Where::Kind::time, times[2].ns) == 2);
  CHECK(where(Where::Kind::time, times[2].ns + 1) == 3);
  CHECK(where(Where::Kind::time, INT64_MAX) == 5);
  CHECK(where(Where::Kind::time, INT64_MIN) == 0);
  CHECK(shard.refusal(shard.call(ListOffsetsRequest{
            {"orders", {}}, 0, {Where::Kind::before_end, -1}})) == Errc::bad_request);
  CHECK(shard.refusal(shard.call(ListOffsetsRequest{
            {"orders", {}}, 0, {static_cast<Where::Kind>(99), 0}})) == Errc::bad_request);
  CHECK(shard.refusal(shard.call(ListOffsetsRequest{{"orders", {}}, 1, {}})) ==
        Errc::unknown_partition);
}
