// Acked batches were missing from the end of a segment, and were fenced. Closing the log then wrote
// a clean checkpoint that named the damaged place for the end of the log: the next start said
// nothing of the damage, cut off what was left of it, and went on in the damaged segment.
#include "tests/storage/log_fixture.h"

#include <catch2/catch.hpp>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

TEST_CASE("G7 ST-36 a fence at the end of the log and what lies behind it outlive a close") {
  for (const std::uint64_t left_over : {0u, 500u}) {
    INFO(left_over << " bytes of a batch are left");
    LogFixture f;
    f.put_many(8, 4000);
    f.close();
    const auto path = f.storage.segment_path(0);
    f.storage.disk().cut_file(path, std::uint64_t{7} * 4096 + left_over);
    const auto damaged = f.storage.disk().read_file(path);
    const OffsetRange hole{Offset{6}, Offset{8}};
    for (int start = 0; start < 3; ++start) {
      f.open();
      REQUIRE(f.storage.log().durable_end() == hole.end);
      REQUIRE(f.storage.log().corrupt_ranges().size() == 1);
      REQUIRE(f.storage.log().corrupt_ranges()[0].offsets == hole);
      REQUIRE(f.storage.disk().read_file(path) == damaged);
      f.close();
    }
    f.open();
    f.put_many(3, 4000);
    f.require_all_but({hole}, true);
    f.close();
    f.storage.disk().remove_file(f.storage.path("checkpoint"));
    f.open();
    f.require_all_but({hole}, true);
  }
}
