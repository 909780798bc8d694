#include "tests/broker/shard_fixture.h"

using namespace millrace;
using namespace millrace::test;

namespace {

bool has_setting(const TopicInfoReply& info, std::string_view text) {
  return std::ranges::find(info.settings, text) != info.settings.end();
}

}  // namespace

TEST_CASE("topics are created, listed, described and deleted") {
  RunningShard shard;
  CHECK(shard.topic_names().empty());
  const auto created = shard.create("orders", 3, {"retention_age=1 day"});
  CHECK(created.name == "orders");
  CHECK(created.partitions == 3);
  CHECK(has_setting(created, "retention_age=1 day"));
  CHECK(created.partition_infos.empty());
  shard.create("audit");
  CHECK(shard.topic_names() == std::vector<std::string>{"audit", "orders"});
  shard.must_produce("orders", "x", 1);
  const auto info = shard.expect<TopicInfoReply>(shard.call(DescribeTopicRequest{{"orders", {}}}));
  CHECK(info.id == created.id);
  REQUIRE(info.partition_infos.size() == 3);
  CHECK(info.partition_infos[1].end_offset == Offset{1});
  CHECK(info.partition_infos[1].state == "ok");
  CHECK(info.partition_infos[0].end_offset == Offset{0});
  CHECK(shard.expect<TopicInfoReply>(shard.call(MetadataRequest{{"orders", {}}})).batch_bytes_max ==
        256 * KiB);
  shard.expect<DoneReply>(shard.call(DeleteTopicRequest{{"orders", {}}}));
  CHECK(shard.topic_names() == std::vector<std::string>{"audit"});
  CHECK(shard.refusal(shard.call(DescribeTopicRequest{{"orders", {}}})) == Errc::unknown_topic);
  CHECK(shard.refusal(shard.call(MetadataRequest{{"orders", {}}})) == Errc::unknown_topic);
  CHECK(shard.refusal(shard.call(DeleteTopicRequest{{"orders", {}}})) == Errc::unknown_topic);
  shard.settle();
  CHECK_FALSE(shard.disk.exists("topics/" + created.id.to_hex() + ".deleted"));
}

TEST_CASE("topics, settings and events survive an orderly restart") {
  RunningShard shard;
  const auto created = shard.create("orders", 2, {"segment_bytes=256 KiB", "live=false"});
  shard.must_produce("orders", "x", 1);
  shard.restart();
  const auto info = shard.expect<TopicInfoReply>(shard.call(DescribeTopicRequest{{"orders", {}}}));
  CHECK(info.id == created.id);
  CHECK(info.created == created.created);
  CHECK(info.settings == created.settings);
  CHECK(shard.read_all("orders", 0, 1) == std::vector<std::string>{"x"});
}

TEST_CASE("topics that cannot be created") {
  auto options = small_broker_options();
  options.limits.topics_max = 2;
  RunningShard shard(1, options);
  const auto create = [&](std::string_view name, std::uint32_t partitions,
                          std::vector<std::string_view> settings) {
    return shard.refusal(shard.call(CreateTopicRequest{name, partitions, std::move(settings)}));
  };
  CHECK(create("..", 1, {}) == Errc::bad_topic_name);
  CHECK(create("", 1, {}) == Errc::bad_topic_name);
  CHECK(create("a", 0, {}) == Errc::bad_request);
  CHECK(create("a", 4097, {}) == Errc::bad_request);
  CHECK(create("a", UINT32_MAX, {}) == Errc::bad_request);
  CHECK(create("a", 1, {"no_such=1"}) == Errc::bad_setting);
  CHECK(shard.topic_names().empty());
  shard.create("a");
  CHECK(create("a", 1, {}) == Errc::topic_exists);
  shard.create("A");  // case counts
  CHECK(create("b", 1, {}) == Errc::overloaded);
}

TEST_CASE(
    "two creations of one name at the same time: one stands, the other hears that it exists") {
  RunningShard shard;
  const auto first = shard.send(CreateTopicRequest{"orders", 2, {}});
  const auto second = shard.send(CreateTopicRequest{"orders", 3, {}}, ShardFixture::bob);
  const auto early = shard.send(MetadataRequest{{"orders", {}}});
  CHECK(shard.refusal(shard.wait(early)) == Errc::overloaded);
  CHECK(shard.expect<TopicInfoReply>(shard.wait(first)).partitions == 2);
  CHECK(shard.refusal(shard.wait(second, ShardFixture::bob)) == Errc::topic_exists);
}

TEST_CASE("ST-27: a topic created again under its old name has nothing of the old one") {
  RunningShard shard;
  const auto old = shard.create("orders");
  for (int i = 0; i < 5; ++i) shard.must_produce("orders", "old");
  const auto deleted = shard.send(DeleteTopicRequest{{"orders", {}}});
  const auto created = shard.send(CreateTopicRequest{"orders", 1, {}});
  const auto batch = make_batch("x");
  const auto meanwhile = shard.send(ShardFixture::produce_request("orders", batch));
  CHECK(shard.refusal(shard.wait(meanwhile)) == Errc::unknown_topic);
  shard.expect<DoneReply>(shard.wait(deleted));
  const auto fresh = shard.expect<TopicInfoReply>(shard.wait(created));
  CHECK(fresh.id != old.id);
  CHECK(shard.read_all("orders").empty());
  CHECK(shard.must_produce("orders", "new").offsets.begin == Offset{0});
  auto stale = ShardFixture::fetch_request("orders", 0);
  stale.topic.id = old.id;
  CHECK(shard.refusal(shard.call(stale)) == Errc::unknown_topic);
  shard.restart();
  CHECK(shard.read_all("orders") == std::vector<std::string>{"new"});
}

TEST_CASE("a topic is deleted while its batches are on their way to the disk") {
  RunningShard shard;
  shard.create("orders", 2);
  shard.must_produce("orders", "a");
  shard.disk.hold(sim::Call::synced_write);
  const auto batch = make_batch("b");
  const auto produced = shard.send(ShardFixture::produce_request("orders", batch));
  shard.settle_held();
  const auto deleted = shard.send(DeleteTopicRequest{{"orders", {}}});
  shard.settle_held();
  // Its files are not let go while I/O is in flight, and whether the batch is stored is not known.
  CHECK_FALSE(shard.has_reply(deleted));
  CHECK_FALSE(shard.has_reply(produced));
  shard.disk.release(sim::Call::synced_write);
  shard.expect<DoneReply>(shard.wait(deleted));
  shard.expect<ProducedReply>(shard.wait(produced));
}

TEST_CASE("deleting and trimming while reads are in flight") {
  RunningShard shard;
  shard.create("orders");
  for (int i = 0; i < 40; ++i) shard.must_produce("orders", std::string(3000, 'x'));
  shard.restart();
  const auto fetch = shard.send(ShardFixture::fetch_request("orders", 0));
  const auto lookup = shard.send(ListOffsetsRequest{{"orders", {}}, 0, {Where::Kind::time, 1}});
  const auto trim = shard.send(TrimTopicRequest{{"orders", {}}, 0, {Where::Kind::time, INT64_MAX}});
  const auto second_trim = shard.send(TrimTopicRequest{{"orders", {}}, 0, {Where::Kind::end, 0}});
  const auto third_trim = shard.send(TrimTopicRequest{{"orders", {}}, 0, {Where::Kind::end, 0}});
  const auto deleted = shard.send(DeleteTopicRequest{{"orders", {}}});
  shard.expect<DoneReply>(shard.wait(deleted));
  CHECK(shard.refusal(shard.wait(fetch)) == Errc::unknown_topic);
  CHECK(shard.refusal(shard.wait(lookup)) == Errc::unknown_topic);
  CHECK(shard.refusal(shard.wait(trim)) == Errc::unknown_topic);
  CHECK(shard.has_reply(second_trim));
  CHECK(shard.refusal(shard.wait(third_trim)) == Errc::overloaded);
  CHECK(shard.topic_names().empty());
}

TEST_CASE("a trim moves the start for good") {
  RunningShard shard;
  shard.create("orders");
  for (int i = 0; i < 10; ++i) shard.must_produce("orders", std::to_string(i));
  const auto trimmed = shard.expect<OffsetListReply>(
      shard.call(TrimTopicRequest{{"orders", {}}, 0, {Where::Kind::before_end, 2}}));
  CHECK(trimmed.offset == Offset{8});
  CHECK(trimmed.start_offset == Offset{8});
  CHECK(trimmed.end_offset == Offset{10});
  // It never moves back.
  CHECK(shard
            .expect<OffsetListReply>(
                shard.call(TrimTopicRequest{{"orders", {}}, 0, {Where::Kind::start, 0}}))
            .offset == Offset{8});
  shard.crash(sim::CrashPolicy::none());
  shard.must_start();
  CHECK(shard.read_all("orders", 8) == std::vector<std::string>{"8", "9"});
  CHECK(shard.refusal(shard.call(ShardFixture::fetch_request("orders", 7))) ==
        Errc::offset_out_of_range);
}

TEST_CASE("ping tells who answers") {
  RunningShard shard;
  shard.clock.advance(milliseconds(1500));
  const auto pong = shard.expect<PongReply>(shard.call(PingRequest{}));
  CHECK(pong.cluster_id == shard.cluster_id);
  CHECK(pong.uptime_ms >= 1500);
  CHECK(pong.broker_version == shard.options.version);
}

TEST_CASE("a request that could not be decoded is answered with its error") {
  RunningShard shard;
  shard.process->shard.refuse(ShardFixture::alice, 99, {Errc::unsupported, "version 7"});
  CHECK(shard.refusal(shard.wait(99)) == Errc::unsupported);
  CHECK(shard.process->metrics.rejected[static_cast<std::size_t>(Errc::unsupported)].get() == 1);
}

TEST_CASE("a topic whose batches may be larger than its segments is refused as the config is") {
  BrokerOptions options = small_broker_options();
  options.topic_defaults.batch_bytes_max = 64 * KiB;
  RunningShard shard(1, options);
  for (const std::vector<std::string_view>& settings :
       {std::vector<std::string_view>{"batch_bytes_max=1 MiB", "segment_bytes=64 KiB"},
        std::vector<std::string_view>{"batch_bytes_max=1 MiB"}}) {
    const auto error = shard.expect<Error>(shard.call(CreateTopicRequest{"big", 1, settings}));
    CHECK(error.code == Errc::bad_setting);
    CHECK(error.text.find("batch_bytes_max = 1 MiB must not be above segment_bytes = 64 KiB") !=
          std::string::npos);
  }
  shard.create("big", 1, {"batch_bytes_max=1 MiB", "segment_bytes=1 MiB"});
  // Who makes sure that a topic is there, in the words of its settings, is told that it is.
  const CreateTopicRequest again{"big", 1, {"batch_bytes_max=1 MiB"}};
  CHECK(shard.expect<Error>(shard.call(again)).code == Errc::topic_exists);
}
