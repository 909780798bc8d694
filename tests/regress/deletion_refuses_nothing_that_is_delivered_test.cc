// A batch on its way to the disk was refused as not stored because its topic was being deleted;
// then its write ended, and readers of the live feed were given it.
#include "tests/broker/shard_fixture.h"

#include <catch2/catch.hpp>

using namespace millrace;
using namespace millrace::test;

TEST_CASE("G5 a batch in flight when its topic is deleted is not refused and then delivered") {
  RunningShard f;
  f.create("orders");
  f.must_produce("orders", "first");
  f.live.published.clear();
  const auto batch = make_batch("second");
  f.disk.hold(sim::Call::synced_write);
  const auto produce = f.send(ShardFixture::produce_request("orders", batch));
  f.settle_held();
  const auto deletion = f.send(DeleteTopicRequest{{"orders", {}}});
  f.settle_held();
  f.disk.release(sim::Call::synced_write);
  f.expect<DoneReply>(f.wait(deletion));
  const auto answers = f.take(produce);
  REQUIRE(answers.size() == 1);
  const bool is_refused = std::holds_alternative<Error>(answers[0].body);
  REQUIRE(is_refused == f.live.published.empty());
}
