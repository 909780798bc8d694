// A lookup by time was answered because the broker was stopping, and its read from disk ended
// before the next turn: it was answered again, from a place that was gone, and the broker crashed.
#include "tests/broker/shard_fixture.h"

#include <catch2/catch.hpp>

using namespace millrace;
using namespace millrace::test;

TEST_CASE("PS-01 a lookup by time that reads while the broker stops is answered once") {
  // At each step of the read: its last one may be done in the reap that follows the stop.
  for (int steps = 0; steps < 16; ++steps) {
    INFO("after " << steps << " steps");
    RunningShard f;
    f.create("orders");
    for (int i = 0; i < 10; ++i) f.must_produce("orders", std::string(20'000, 'x'));
    f.restart();  // nothing is in memory: the lookup reads
    f.send(ListOffsetsRequest{{"orders", {}}, 0, {Where::Kind::time, f.clock.wall().ns}});
    for (int i = 0; i < steps; ++i) f.turn();
    f.restart();
  }
}
