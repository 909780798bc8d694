// A process was killed between the rename of a topic's directory and the sync of its name. The next
// one listed the directory, served it and acked events in it, or removed its files because the name
// said so; then a loss of power took the rename back.
#include "tests/broker/shard_fixture.h"

#include <catch2/catch.hpp>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

namespace {

bool stands(ShardFixture& f) {
  const auto names = f.topic_names();
  return std::find(names.begin(), names.end(), "orders") != names.end();
}

}  // namespace

TEST_CASE("G1 ST-30 events acked in a topic whose creator was killed survive a loss of power") {
  for (std::uint64_t at = 1; at < 30; ++at) {
    INFO("killed at operation " << at);
    RunningShard f;
    f.disk.crash_at(at, CrashPolicy::kill());
    f.send(CreateTopicRequest{"orders", 1, {}});
    for (int i = 0; i < 60 && f.disk.has_power(); ++i) f.turn();
    f.crash(CrashPolicy::kill());
    f.must_start();
    if (!stands(f)) continue;
    f.must_produce("orders", "kept");
    f.crash(CrashPolicy::none());
    f.must_start();
    REQUIRE(stands(f));
    REQUIRE(f.read_all("orders") == std::vector<std::string>{"kept"});
  }
}

TEST_CASE("ST-27 a topic whose deleter was killed is not half there after a loss of power") {
  for (std::uint64_t at = 1; at < 30; ++at) {
    for (const auto& policy : {CrashPolicy::none(), CrashPolicy::random()}) {
      INFO("killed at operation " << at);
      RunningShard f(at);
      f.create("orders");
      f.must_produce("orders", "kept");
      f.disk.crash_at(at, CrashPolicy::kill());
      f.send(DeleteTopicRequest{{"orders", {}}});
      for (int i = 0; i < 60 && f.disk.has_power(); ++i) f.turn();
      f.crash(CrashPolicy::kill());
      f.must_start();
      const bool stood = stands(f);
      f.settle();
      f.crash(policy);
      f.must_start();
      REQUIRE(stands(f) == stood);
      if (stood) REQUIRE(f.read_all("orders") == std::vector<std::string>{"kept"});
    }
  }
}
