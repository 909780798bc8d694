// A broker that was killed between renaming a topic's directory and syncing the name left a name
// in the cache that the next one believed: it acked events in a topic that a loss of power took
// away, and removed the files of one that it brought back.
#include "tests/broker/shard_fixture.h"

using namespace millrace;
using namespace millrace::test;

TEST_CASE("G1 ST-30 a topic whose name only a cache had keeps what is acked after the start") {
  bool stood = false;
  for (std::uint64_t operation = 1; operation < 60; ++operation) {
    INFO("operation " << operation);
    RunningShard shard(operation);
    shard.disk.crash_at(operation, sim::CrashPolicy::kill());
    const auto id = shard.send(CreateTopicRequest{"orders", 1, {}});
    shard.run_until([&] { return shard.has_reply(id); });
    shard.crash(sim::CrashPolicy::kill());
    shard.must_start();
    const bool stands = !shard.topic_names().empty();
    if (stands) shard.must_produce("orders", "x");
    shard.crash(sim::CrashPolicy::none());
    shard.must_start();
    REQUIRE(shard.topic_names().size() == (stands ? 1 : 0));
    if (stands) REQUIRE(shard.read_all("orders") == std::vector<std::string>{"x"});
    stood = stood || stands;
  }
  REQUIRE(stood);
}

TEST_CASE("ST-27 a topic whose deletion only a cache had is whole or gone") {
  bool gone = false;
  for (std::uint64_t operation = 1; operation < 60; ++operation) {
    INFO("operation " << operation);
    RunningShard shard(operation);
    shard.create("orders");
    shard.must_produce("orders", "x");
    shard.settle();
    shard.disk.crash_at(operation, sim::CrashPolicy::kill());
    const auto id = shard.send(DeleteTopicRequest{{"orders", {}}});
    shard.run_until([&] { return shard.has_reply(id); });
    shard.crash(sim::CrashPolicy::kill());
    shard.must_start();
    for (int i = 0; i < 20; ++i) shard.turn();  // the removal has begun, if there is one
    const bool was_gone = shard.topic_names().empty();
    shard.crash(sim::CrashPolicy::random());
    shard.must_start();
    if (was_gone) REQUIRE(shard.topic_names().empty());
    if (!shard.topic_names().empty())
      REQUIRE(shard.read_all("orders") == std::vector<std::string>{"x"});
    gone = gone || was_gone;
  }
  REQUIRE(gone);
}
