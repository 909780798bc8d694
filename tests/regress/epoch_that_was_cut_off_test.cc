// The first batch of a producer's new epoch was on its way when the disk ran full. It was cut off,
// and with it the whole session: a copy of a batch of the epoch before, long acked, was taken for a
// new one. Checkpoints that were written meanwhile forgot it as well.
#include "tests/broker/shard_fixture.h"

#include <catch2/catch.hpp>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

namespace {

const TestSession old_epoch{.producer_id = 9, .epoch = 0, .sequence = 0};
const TestSession new_epoch{.producer_id = 9, .epoch = 1, .sequence = 0};

void require_known(ShardFixture& f, const Bytes& acked) {
  const auto again = f.expect<ProducedReply>(f.produce("orders", acked));
  REQUIRE(again.duplicate);
  REQUIRE(f.read_all("orders") == std::vector<std::string>{"acked"});
}

}  // namespace

TEST_CASE("G4 ST-12 a session is known after its new epoch found the disk full") {
  RunningShard f;
  f.create("orders");
  const auto acked = make_batch("acked", old_epoch);
  f.expect<ProducedReply>(f.produce("orders", acked));
  f.disk.inject({.call = Call::synced_write,
                 .error = Errc::storage_full,
                 .nth = 1,
                 .for_ever = false,
                 .path = "segment"});
  f.disk.inject({.call = Call::synced_write,
                 .error = Errc::storage_full,
                 .nth = 1,
                 .for_ever = false,
                 .path = "pool"});
  REQUIRE(f.refusal(f.produce("orders", make_batch("new", new_epoch))) == Errc::storage_full);
  f.disk.lift_faults();
  f.advance(seconds(2));
  require_known(f, acked);
}
