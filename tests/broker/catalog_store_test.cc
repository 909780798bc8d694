#include "broker/meta/catalog_store.h"

#include "broker/meta/catalog_codec.h"
#include "tests/broker/shard_fixture.h"

using namespace millrace;
using namespace millrace::test;

namespace {

std::string directory_of(const TopicInfoReply& info) { return "topics/" + info.id.to_hex(); }

std::vector<sim::CrashPolicy> policies() {
  return {sim::CrashPolicy::none(), sim::CrashPolicy::all(), sim::CrashPolicy::random(),
          sim::CrashPolicy::torn()};
}

// Lets the power go at the n-th operation from now, for n = 1, 2, ..., until `script` runs through
// without.
void at_every_operation(const std::function<void(ShardFixture&)>& prepare,
                        const std::function<void(ShardFixture&)>& script,
                        const std::function<void(ShardFixture&)>& examine) {
  for (const auto& policy : policies()) {
    for (std::uint64_t operation = 1; operation < 400; ++operation) {
      INFO("operation " << operation << ", " << policy.to_string());
      RunningShard shard(operation);
      prepare(shard);
      shard.disk.crash_at(operation, policy);
      script(shard);
      const bool crashed = !shard.disk.has_power();
      shard.crash(policy);
      shard.must_start();
      examine(shard);
      if (!crashed) break;
      REQUIRE(operation < 399);
    }
  }
}

}  // namespace

TEST_CASE("ST-27: a loss of power at any step of a creation leaves the whole topic or none") {
  bool answered = false;
  at_every_operation(
      [](ShardFixture&) {},
      [&](ShardFixture& shard) {
        const auto id = shard.send(CreateTopicRequest{"orders", 2, {"live=false"}});
        shard.run_until([&] { return shard.has_reply(id); });
        const auto replies = shard.take(id);
        answered = replies.size() == 1 && std::holds_alternative<TopicInfoReply>(replies[0].body);
      },
      [&](ShardFixture& shard) {
        shard.settle();
        const auto names = shard.topic_names();
        if (answered) CHECK(names == std::vector<std::string>{"orders"});
        if (names.empty()) {
          CHECK(shard.disk.names("topics").empty());
          shard.create("orders", 2);
        } else {
          const auto info =
              shard.expect<TopicInfoReply>(shard.call(DescribeTopicRequest{{"orders", {}}}));
          REQUIRE(info.partition_infos.size() == 2);
          for (const auto& partition : info.partition_infos) CHECK(partition.state == "ok");
          CHECK(std::ranges::find(info.settings, "live=false") != info.settings.end());
        }
        shard.must_produce("orders", "x", 1);
        CHECK(shard.read_all("orders", 0, 1) == std::vector<std::string>{"x"});
      });
}

TEST_CASE(
    "ST-27: a loss of power at any step of a deletion leaves the whole topic or none, and finishes "
    "it") {
  bool answered = false;
  at_every_operation(
      [](ShardFixture& shard) {
        shard.create("orders");
        for (int i = 0; i < 3; ++i) shard.must_produce("orders", std::to_string(i));
      },
      [&](ShardFixture& shard) {
        const auto id = shard.send(DeleteTopicRequest{{"orders", {}}});
        shard.run_until([&] { return shard.has_reply(id); });
        const auto replies = shard.take(id);
        answered = replies.size() == 1 && std::holds_alternative<DoneReply>(replies[0].body);
        if (answered) {
          for (int i = 0; i < 60; ++i) shard.turn();  // the removal in the background
        }
      },
      [&](ShardFixture& shard) {
        shard.settle();
        if (answered) CHECK(shard.topic_names().empty());
        if (shard.topic_names().empty()) {
          CHECK(shard.disk.names("topics").empty());
        } else {
          CHECK(shard.read_all("orders") == std::vector<std::string>{"0", "1", "2"});
        }
      });
}

TEST_CASE("ST-27: a loss of power at any step of delete and re-create never mixes the two") {
  bool acked = false;
  at_every_operation(
      [](ShardFixture& shard) {
        shard.create("orders");
        for (int i = 0; i < 3; ++i) shard.must_produce("orders", "old");
      },
      [&](ShardFixture& shard) {
        shard.send(DeleteTopicRequest{{"orders", {}}});
        const auto id = shard.send(CreateTopicRequest{"orders", 1, {}});
        shard.run_until([&] { return shard.has_reply(id); });
        const auto batch = make_batch("new");
        const auto produced = shard.send(ShardFixture::produce_request("orders", batch));
        shard.run_until([&] { return shard.has_reply(produced); });
        const auto replies = shard.take(produced);
        acked = replies.size() == 1 && std::holds_alternative<ProducedReply>(replies[0].body);
      },
      [&](ShardFixture& shard) {
        shard.settle();
        const auto names = shard.topic_names();
        CHECK(names.size() <= 1);
        const auto events = names.empty() ? std::vector<std::string>{} : shard.read_all("orders");
        const bool old_topic = events == std::vector<std::string>(3, "old");
        const bool new_topic = events == std::vector<std::string>{"new"};
        CHECK((old_topic || new_topic || events.empty()));
        if (acked) CHECK(new_topic);
      });
}

TEST_CASE("ST-12: a creation that meets a full disk is refused and leaves nothing behind") {
  RunningShard shard;
  shard.create("orders");
  shard.settle();
  shard.disk.set_capacity(shard.disk.used_bytes() + 3 * 4096);
  CHECK(shard.refusal(shard.call(CreateTopicRequest{"audit", 50, {}})) == Errc::storage_full);
  shard.settle();
  CHECK(shard.disk.names("topics").size() == 1);
  CHECK(shard.topic_names() == std::vector<std::string>{"orders"});
  shard.disk.set_capacity(std::uint64_t{1} << 30);
  shard.create("audit", 50);
}

TEST_CASE(
    "ST-14: any step of a creation that fails once refuses it, and the name can be used again") {
  for (const auto call : {sim::Call::make_directory, sim::Call::open, sim::Call::synced_write,
                          sim::Call::close, sim::Call::sync_directory, sim::Call::rename}) {
    for (std::uint64_t nth = 1; nth <= 2; ++nth) {
      INFO(sim::call_name(call) << " " << nth);
      RunningShard shard;
      shard.disk.inject({call, Errc::storage_error, nth, false, "topics"});
      auto reply = shard.call(CreateTopicRequest{"orders", 2, {}});
      const bool refused = std::holds_alternative<Error>(reply);
      shard.settle();
      CHECK(shard.topic_names().size() == (refused ? 0 : 1));
      shard.disk.lift_faults();
      if (refused) shard.create("orders", 2);
      shard.must_produce("orders", "x");
      shard.restart();
      CHECK(shard.topic_names() == std::vector<std::string>{"orders"});
      CHECK(shard.read_all("orders") == std::vector<std::string>{"x"});
    }
  }
}

TEST_CASE("a deletion whose rename fails leaves the topic named, and can be repeated") {
  RunningShard shard;
  shard.create("orders");
  shard.must_produce("orders", "x");
  shard.disk.inject({sim::Call::rename, Errc::storage_error, 1, false, "topics"});
  CHECK(shard.refusal(shard.call(DeleteTopicRequest{{"orders", {}}})) == Errc::storage_error);
  CHECK(shard.refusal(shard.call(ShardFixture::fetch_request("orders", 0))) == Errc::storage_error);
  CHECK(shard.topic_names().size() == 1);
  shard.expect<DoneReply>(shard.call(DeleteTopicRequest{{"orders", {}}}));
  shard.create("orders");
  CHECK(shard.read_all("orders").empty());
}

TEST_CASE("ST-08: one damaged copy of topic.meta is no loss and is written again") {
  for (const int copy : {0, 1}) {
    for (const bool remove : {false, true}) {
      RunningShard shard;
      const auto info = shard.create("orders", 2, {"live=false"});
      shard.must_produce("orders", "x", 1);
      shard.stop();
      const std::string path = directory_of(info) + "/topic.meta." + std::to_string(copy);
      if (remove) {
        shard.disk.remove_file(path);
      } else {
        shard.disk.corrupt(path, 40, 0xff);
      }
      shard.must_start();
      const auto after =
          shard.expect<TopicInfoReply>(shard.call(DescribeTopicRequest{{"orders", {}}}));
      CHECK(after.id == info.id);
      CHECK(after.settings == info.settings);
      CHECK(decode_topic_meta(shard.disk.read_file(path)));
      CHECK(shard.read_all("orders", 0, 1) == std::vector<std::string>{"x"});
    }
  }
}

TEST_CASE("ST-08: with both copies of topic.meta damaged the topic is rebuilt from its segments") {
  RunningShard shard;
  const auto info = shard.create("orders", 3);
  shard.must_produce("orders", "x", 1);
  shard.stop();
  shard.disk.corrupt(directory_of(info) + "/topic.meta.0", 40, 0xff);
  shard.disk.cut_file(directory_of(info) + "/topic.meta.1", 0);
  for (int start = 0; start < 2; ++start) {
    shard.must_start();
    const auto after =
        shard.expect<TopicInfoReply>(shard.call(DescribeTopicRequest{{"orders", {}}}));
    CHECK(after.id == info.id);
    CHECK(after.partitions == 3);
    CHECK(shard.read_all("orders", 0, 1).front() == "x");
    shard.must_produce("orders", "y", 1);
    shard.stop();
  }
}

TEST_CASE("ST-08: a topic that nothing can name is kept on disk") {
  RunningShard shard;
  const auto info = shard.create("orders");
  shard.stop();
  shard.disk.cut_file(directory_of(info) + "/topic.meta.0", 0);
  shard.disk.cut_file(directory_of(info) + "/topic.meta.1", 7);
  shard.must_start();
  shard.settle();
  CHECK(shard.topic_names().empty());
  CHECK(shard.disk.exists(directory_of(info) + "/0"));
  shard.create("orders");
}

TEST_CASE("ST-23: a partition whose directory is missing is a fault, not an empty log") {
  RunningShard shard;
  const auto info = shard.create("orders", 2);
  shard.must_produce("orders", "x", 0);
  shard.must_produce("orders", "y", 1);
  shard.stop();
  shard.disk.rename_file(directory_of(info) + "/1", "elsewhere");
  shard.must_start();
  CHECK(shard.read_all("orders", 0, 0) == std::vector<std::string>{"x"});
  CHECK(shard.refusal(shard.call(ShardFixture::fetch_request("orders", 0, 0, 1))) ==
        Errc::storage_error);
  CHECK(shard.refusal(shard.produce("orders", make_batch("z"), Ack::durable, 1)) ==
        Errc::storage_error);
  const auto after = shard.expect<TopicInfoReply>(shard.call(DescribeTopicRequest{{"orders", {}}}));
  CHECK(after.partition_infos.at(1).state.find("missing") != std::string::npos);
  shard.stop();
  shard.disk.rename_file("elsewhere", directory_of(info) + "/1");
  shard.must_start();
  CHECK(shard.read_all("orders", 0, 1) == std::vector<std::string>{"y"});
}

TEST_CASE("two topics of one name: the later one stands, the other is kept") {
  RunningShard shard;
  const auto first = shard.create("orders");
  shard.must_produce("orders", "first");
  shard.clock.advance(seconds(1));
  const auto second = shard.create("later");
  shard.must_produce("later", "second");
  shard.stop();
  TopicMeta meta;
  meta.id = second.id;
  meta.name = "orders";
  meta.created = second.created;
  for (const auto* copy : {"/topic.meta.0", "/topic.meta.1"}) {
    shard.disk.write_file(directory_of(second) + copy, encode_topic_meta(meta));
  }
  shard.must_start();
  CHECK(shard.topic_names() == std::vector<std::string>{"orders"});
  const auto info = shard.expect<TopicInfoReply>(shard.call(MetadataRequest{{"orders", {}}}));
  CHECK(info.id == second.id);
  CHECK(shard.disk.exists(directory_of(first) + "/topic.meta.0"));
}

TEST_CASE("ST-10: what is not ours in the topics' directory is left alone") {
  RunningShard shard;
  shard.create("orders");
  shard.stop();
  const std::string upper = "topics/" + std::string(32, 'A');
  shard.disk.make_path("topics/backup");
  shard.disk.make_path(upper);
  shard.disk.write_file("topics/notes.txt", as_bytes("hello"));
  shard.disk.make_special("topics/" + std::string(32, 'b'));
  shard.must_start();
  shard.settle();
  CHECK(shard.topic_names() == std::vector<std::string>{"orders"});
  CHECK(shard.disk.exists("topics/backup"));
  CHECK(shard.disk.exists(upper));
  CHECK(shard.disk.exists("topics/notes.txt"));
  CHECK(shard.disk.exists("topics/" + std::string(32, 'b')));
}

TEST_CASE("a start that cannot list the topics fails, and nothing is made up") {
  ShardFixture shard;
  shard.disk.inject({sim::Call::list, Errc::storage_error, 1, true, "topics"});
  const auto started = shard.start();
  REQUIRE_FALSE(started);
  CHECK(started.error().code == Errc::storage_error);
}
