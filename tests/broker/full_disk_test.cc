#include "tests/broker/shard_fixture.h"

#include <catch2/catch.hpp>

using namespace millrace;
using namespace millrace::test;

// ST-12: on a full disk everything that makes space works, and with it producing comes back.

namespace {

void fill(RunningShard& shard) {
  shard.settle();
  shard.disk.set_capacity(shard.disk.used_bytes());
}

// The next rename in topics/ finds no room for the longer name.
void no_room_for_a_name(ShardFixture& shard) {
  shard.disk.inject({sim::Call::rename, Errc::storage_full, 1, false, "topics/"});
}

void produce_much(RunningShard& shard, const std::string& topic) {
  for (int i = 0; i < 40; ++i) shard.must_produce(topic, std::string(10'000, 'x'));
}

}  // namespace

TEST_CASE("ST-12: a topic is deleted on a disk without a free block, and its space is free") {
  RunningShard shard;
  shard.create("orders");
  shard.create("ballast");
  shard.must_produce("orders", "x");
  produce_much(shard, "ballast");
  fill(shard);
  shard.expect<DoneReply>(shard.call(DeleteTopicRequest{{"ballast", {}}}));
  shard.settle();
  CHECK(shard.disk.names("topics").size() == 1);
  shard.advance(seconds(2));
  shard.must_produce("orders", "after");
}

TEST_CASE("ST-12: a topic is deleted where its directory has no room for another name") {
  RunningShard shard;
  shard.create("orders");
  shard.must_produce("orders", "x");
  shard.settle();
  const auto used = shard.disk.used_bytes();
  no_room_for_a_name(shard);
  shard.expect<DoneReply>(shard.call(DeleteTopicRequest{{"orders", {}}}));
  CHECK(shard.topic_names().empty());
  shard.settle();
  CHECK(shard.disk.names("topics").empty());
  CHECK(shard.disk.names("deleted").empty());
  CHECK(shard.disk.used_bytes() < used);
}

TEST_CASE("ST-12 ST-27: a topic that finds no room for any other name stands, and is told so") {
  RunningShard shard;
  shard.create("orders");
  shard.must_produce("orders", "x");
  shard.stop();
  // That directory could not be made.
  shard.disk.rename_file("deleted", "elsewhere");
  shard.disk.inject({sim::Call::make_directory, Errc::storage_error, 1, false, "deleted"});
  shard.must_start();
  no_room_for_a_name(shard);
  CHECK(shard.refusal(shard.call(DeleteTopicRequest{{"orders", {}}})) == Errc::storage_full);
  shard.expect<DoneReply>(shard.call(DeleteTopicRequest{{"orders", {}}}));
  shard.restart();
  CHECK(shard.topic_names().empty());
}

TEST_CASE("ST-12 ST-27: a loss of power at any step of such a deletion leaves the topic or none") {
  for (const auto& policy : {sim::CrashPolicy::none(), sim::CrashPolicy::all(),
                             sim::CrashPolicy::random(), sim::CrashPolicy::kill()}) {
    for (std::uint64_t operation = 1; operation < 400; ++operation) {
      INFO("operation " << operation << ", " << policy.to_string());
      RunningShard shard(operation);
      shard.create("orders");
      shard.must_produce("orders", "old");
      shard.settle();
      no_room_for_a_name(shard);
      shard.disk.crash_at(operation, policy);
      const auto id = shard.send(DeleteTopicRequest{{"orders", {}}});
      shard.run_until([&] { return shard.has_reply(id); });
      const auto replies = shard.take(id);
      const bool answered =
          replies.size() == 1 && std::holds_alternative<DoneReply>(replies[0].body);
      const bool crashed = !shard.disk.has_power();
      shard.crash(policy);
      shard.disk.lift_faults();
      shard.must_start();
      shard.settle();
      const auto names = shard.topic_names();
      if (answered) CHECK(names.empty());
      if (names.empty()) {
        CHECK(shard.disk.names("topics").empty());
      } else {
        CHECK(shard.read_all("orders") == std::vector<std::string>{"old"});
      }
      CHECK(shard.disk.names("deleted").empty());
      if (!crashed) break;
      REQUIRE(operation < 399);
    }
  }
}

TEST_CASE("ST-10: what is no deleted topic is left alone where deleted topics are") {
  RunningShard shard;
  shard.stop();
  shard.disk.write_file("deleted/notes.txt", std::vector<std::byte>(10));
  shard.must_start();
  shard.settle();
  CHECK(shard.disk.names("deleted") == std::vector<std::string>{"notes.txt"});
}

TEST_CASE("ST-12: files kept for later segments are given back while the disk is full") {
  auto options = small_broker_options();
  RunningShard shard(1, options);
  shard.create("orders", 1, {"batch_bytes_max=64 KiB", "segment_bytes=64 KiB"});
  produce_much(shard, "orders");
  shard.call(TrimTopicRequest{{"orders", {}}, 0, {Where::Kind::before_end, 20}});
  shard.settle();
  const std::size_t kept = shard.disk.names("pool").size();
  REQUIRE(kept > 0);
  fill(shard);
  shard.advance(seconds(2));
  shard.settle();
  CHECK(shard.disk.names("pool").empty());
  // And what is trimmed now is free at once.
  fill(shard);
  shard.advance(seconds(2));
  CHECK(shard.process->metrics.disk_watermark_state.get() == 2);
  const auto used = shard.disk.used_bytes();
  shard.expect<OffsetListReply>(
      shard.call(TrimTopicRequest{{"orders", {}}, 0, {Where::Kind::before_end, 1}}));
  shard.settle();
  CHECK(shard.disk.names("pool").empty());
  CHECK(shard.disk.used_bytes() < used);
  shard.disk.set_capacity(std::uint64_t{1} << 30);
  shard.advance(seconds(2));
  shard.must_produce("orders", "after");
}

TEST_CASE("ST-12 ST-27: without deleted/ a deletion without room for a name says that it failed") {
  ShardFixture shard;
  shard.disk.inject({sim::Call::make_directory, Errc::storage_full, 1, false, "deleted"});
  shard.must_start();
  shard.create("orders");
  shard.must_produce("orders", "x");
  no_room_for_a_name(shard);
  CHECK(shard.refusal(shard.call(DeleteTopicRequest{{"orders", {}}})) == Errc::storage_full);
  CHECK(shard.topic_names() == std::vector<std::string>{"orders"});
  shard.expect<DoneReply>(shard.call(DeleteTopicRequest{{"orders", {}}}));
  shard.settle();
  shard.restart();
  CHECK(shard.topic_names().empty());
  CHECK(shard.disk.names("topics").empty());
}

TEST_CASE("ST-12 ST-15: a deletion tried again after a failed sync leaves no file") {
  RunningShard shard;
  shard.create("orders");
  shard.must_produce("orders", "x");
  shard.settle();
  no_room_for_a_name(shard);
  shard.disk.inject({sim::Call::sync_directory, Errc::storage_error, 1, false, "topics"});
  CHECK(shard.refusal(shard.call(DeleteTopicRequest{{"orders", {}}})) == Errc::storage_error);
  REQUIRE(shard.disk.names("deleted").size() == 1);
  shard.expect<DoneReply>(shard.call(DeleteTopicRequest{{"orders", {}}}));
  shard.settle();
  CHECK(shard.disk.names("topics").empty());
  CHECK(shard.disk.names("deleted").empty());
}

TEST_CASE("ST-12: a kept file that could not be removed is removed by the next attempt") {
  RunningShard shard;
  shard.create("orders", 1, {"batch_bytes_max=64 KiB", "segment_bytes=64 KiB"});
  produce_much(shard, "orders");
  shard.call(TrimTopicRequest{{"orders", {}}, 0, {Where::Kind::before_end, 20}});
  fill(shard);
  REQUIRE(shard.disk.names("pool").size() > 1);
  shard.disk.inject({sim::Call::remove, Errc::storage_error, 1, false, "pool/"});
  shard.advance(seconds(3));
  shard.settle();
  CHECK(shard.disk.faults_hit() == 1);
  CHECK(shard.disk.names("pool").empty());
}

TEST_CASE("ST-12: where a quota is used up before the disk is, kept files are given back") {
  auto options = small_broker_options();
  options.disk_warn_percent = 150;
  options.disk_refuse_percent = 200;
  RunningShard shard(1, options);
  shard.create("orders");
  shard.must_produce("orders", "x");
  shard.create("ballast", 1, {"batch_bytes_max=64 KiB", "segment_bytes=64 KiB"});
  produce_much(shard, "ballast");
  shard.call(TrimTopicRequest{{"ballast", {}}, 0, {Where::Kind::before_end, 20}});
  fill(shard);
  REQUIRE(shard.disk.names("pool").size() > 1);
  bool refused = false;
  for (int i = 0; i < 10 && !refused; ++i) {
    const auto reply = shard.produce("orders", make_batch(std::string(10'000, 'x')));
    refused = std::holds_alternative<Error>(reply);
    if (refused) CHECK(std::get<Error>(reply).code == Errc::storage_full);
  }
  REQUIRE(refused);
  REQUIRE_FALSE(shard.disk.names("pool").empty());
  shard.advance(milliseconds(1100));
  CHECK(shard.process->metrics.appends_paused.get() == 1);
  shard.advance(seconds(2));
  shard.settle();
  CHECK(shard.process->metrics.appends_paused.get() == 0);
  CHECK(shard.disk.names("pool").empty());
  shard.must_produce("orders", "after");
  // And they are kept again.
  shard.advance(seconds(2));
  shard.call(TrimTopicRequest{{"ballast", {}}, 0, {Where::Kind::before_end, 1}});
  shard.settle();
  CHECK_FALSE(shard.disk.names("pool").empty());
}

TEST_CASE("ST-12: a topic whose deletion found no room for a name goes on being served") {
  RunningShard shard;
  shard.create("orders", 3);
  shard.must_produce("orders", "x");
  shard.must_produce("orders", "y", 1);
  shard.stop();
  shard.disk.rename_file("topics/" + shard.disk.names("topics").front() + "/2", "missing");
  shard.disk.rename_file("deleted", "elsewhere");
  shard.disk.inject({sim::Call::make_directory, Errc::storage_error, 1, false, "deleted"});
  shard.must_start();
  no_room_for_a_name(shard);
  const auto refused = shard.expect<Error>(shard.call(DeleteTopicRequest{{"orders", {}}}));
  CHECK(refused.code == Errc::storage_full);
  CHECK(refused.text.find("orders") != std::string::npos);
  shard.must_produce("orders", "after");
  CHECK(shard.read_all("orders") == std::vector<std::string>{"x", "after"});
  CHECK(shard.read_all("orders", 0, 1) == std::vector<std::string>{"y"});
  // A log whose files are missing is as missing as it was.
  CHECK(shard.refusal(shard.call(ShardFixture::fetch_request("orders", 0, 0, 2))) ==
        Errc::storage_error);
  CHECK(shard.refusal(shard.call(CreateTopicRequest{"orders", 1, {}})) == Errc::topic_exists);
  shard.expect<DoneReply>(shard.call(DeleteTopicRequest{{"orders", {}}}));
  shard.settle();
  CHECK(shard.topic_names().empty());
  CHECK(shard.disk.names("topics").empty());
}

TEST_CASE("ST-12: a full disk after the new name of a deleted topic opens nothing again") {
  RunningShard shard;
  shard.create("orders");
  shard.must_produce("orders", "x");
  shard.settle();
  shard.disk.inject({sim::Call::sync_directory, Errc::storage_full, 1, false, "topics"});
  CHECK(shard.refusal(shard.call(DeleteTopicRequest{{"orders", {}}})) == Errc::storage_error);
  CHECK(shard.refusal(shard.produce("orders", make_batch("z"))) == Errc::storage_error);
  shard.expect<DoneReply>(shard.call(DeleteTopicRequest{{"orders", {}}}));
  shard.settle();
  CHECK(shard.disk.names("topics").empty());
}

TEST_CASE("ST-12: a refusal says whether a watermark or the end of the disk is the reason") {
  auto options = small_broker_options();
  options.disk_refuse_percent = 100;
  RunningShard shard(1, options);
  shard.create("orders");
  shard.must_produce("orders", "x");
  fill(shard);
  shard.advance(seconds(2));
  const auto error = shard.expect<Error>(shard.produce("orders", make_batch("x")));
  CHECK(error.code == Errc::storage_full);
  CHECK(error.text.find("no space left on the disk: 100 % used") != std::string::npos);
  CHECK(error.text.find("disk.refuse_percent = 100") != std::string::npos);
  CHECK(shard.process->metrics.appends_paused.get() == 1);
  shard.disk.set_capacity(std::uint64_t{1} << 30);
  shard.advance(seconds(2));
  shard.must_produce("orders", "after");
  CHECK(shard.process->metrics.appends_paused.get() == 0);
}

TEST_CASE("ST-12: a refusal by the watermark names it and how full the disk is") {
  RunningShard shard;
  shard.create("orders");
  shard.must_produce("orders", "x");
  shard.settle();
  shard.disk.set_capacity(shard.disk.used_bytes() * 100 / 97);
  shard.advance(seconds(2));
  const auto error = shard.expect<Error>(shard.produce("orders", make_batch("x")));
  CHECK(error.code == Errc::storage_full);
  CHECK(error.text.find("fuller than disk.refuse_percent allows: 9") != std::string::npos);
  CHECK(error.text.find("disk.refuse_percent = 95") != std::string::npos);
  CHECK(shard.process->metrics.appends_paused.get() == 1);
}
