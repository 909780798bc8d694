// After a trim or a truncation only the newest slot of the checkpoint knew of it. When that one
// slot could not be read, the older one was believed: the log missed the segments that had been
// removed, or the events that had been cut, and refused appends or reported corruption.
#include "storage/format/checkpoint_layout.h"
#include "tests/storage/log_fixture.h"

#include <catch2/catch.hpp>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

namespace {

void lose_slot(SimDisk& disk, const std::string& path, int slot) {
  const std::uint64_t at = static_cast<std::uint64_t>(slot) * checkpoint_layout::slot_bytes;
  if (at + 100 < disk.read_file(path).size()) disk.corrupt(path, at + 60, 0xff);
}

}  // namespace

TEST_CASE("ST-08 either slot of the checkpoint may be lost after a trim") {
  for (const int slot : {0, 1}) {
    for (std::uint64_t more = 0; more < 2; ++more) {
      INFO("slot " << slot << ", more checkpoints " << more);
      LogFixture f;
      f.put_segments(4, 9000);
      f.storage.settle();
      for (std::uint64_t i = 0; i < more; ++i) {
        f.put_many(1);
        f.storage.advance(seconds(2));
      }
      const Offset start = f.known[f.known.size() - 3].offsets.begin;
      REQUIRE(f.storage.trim(start));
      f.storage.settle();
      f.storage.crash(CrashPolicy::none());
      lose_slot(f.storage.disk(), f.storage.path("checkpoint"), slot);
      f.open();
      REQUIRE(f.storage.log().refusal().empty());
      REQUIRE(f.storage.log().corrupt_ranges().empty());
      REQUIRE(f.storage.log().start_offset() == start);
      f.require_all(true);
      f.require_alive();
    }
  }
}

TEST_CASE("ST-08 either slot of the checkpoint may be lost after a truncation") {
  for (const int slot : {0, 1}) {
    INFO("slot " << slot);
    LogFixture f;
    f.put_many(6, 2000);
    f.storage.advance(seconds(2));
    REQUIRE(f.storage.truncate(Offset{2}));
    f.known.resize(2);
    f.acked_end = Offset{2};
    f.storage.crash(CrashPolicy::none());
    lose_slot(f.storage.disk(), f.storage.path("checkpoint"), slot);
    f.open();
    REQUIRE(f.storage.log().refusal().empty());
    REQUIRE(f.storage.log().corrupt_ranges().empty());
    REQUIRE(f.storage.log().durable_end() == Offset{2});
    f.require_all(true);
    f.require_alive();
  }
}
