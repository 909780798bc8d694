// Every consumer is told a segment's id and the places of its batches, and checksums have no
// secret: a producer could put a header into a payload that recovery, looking behind a torn batch,
// took for one of the log's own. The log's end was what that header said.
#include "tests/storage/log_fixture.h"

#include <catch2/catch.hpp>

#include <algorithm>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

namespace {

// A batch whose payload holds a batch, as it would lie at `at` of the segment.
Bytes forged(std::uint64_t segment_id, Position at, Offset base) {
  const std::string filler(3000, 'x');
  Bytes inside = make_batch("inside");
  const Bytes outer = make_batch(filler + std::string(inside.size(), 'y'));
  BatchPlace place;
  place.base_offset = base;
  place.segment_id = segment_id;
  place.position = place.durable_position =
      static_cast<std::uint32_t>(at.value + as_text(outer).find('y'));
  stamp_batch(inside, view_of(inside).header(), place);
  return make_batch(filler + std::string(as_text(inside)));
}

}  // namespace

TEST_CASE("G2 G8 ST-03 a header that a producer put into a payload moves no end") {
  auto options = small_log_options();
  options.checkpoint_idle = seconds(1'000'000);
  LogFixture f(1, {.log = options});
  f.put(make_batch("A"));
  const auto stored = f.read_all(true, 1 * MiB).batches;
  const std::uint64_t id = stored.at(0).header.segment_id;
  const Bytes attack = forged(id, Position{8192}, Offset{1'000'000'000'000});
  REQUIRE(f.storage.append_and_commit(attack)->begin == Offset{1});
  // Where it lies its author cannot have known the id.
  REQUIRE(f.storage.files_ending(".segment").size() == 2);
  const auto [path, place] = f.place_of(Offset{1});
  f.storage.crash(CrashPolicy::none());
  auto files = f.storage.disk().files();
  auto& bytes = files.at(path);
  std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(place + 600),
            bytes.begin() + static_cast<std::ptrdiff_t>(place + 1200), std::byte{0});  // torn
  files.erase(f.storage.path("checkpoint"));
  f.storage.disk().restore(files);
  f.open();
  REQUIRE(f.storage.log().durable_end() == Offset{1});
  REQUIRE(f.storage.append_and_commit(make_batch("B"))->begin == Offset{1});
}

// A body of 8n + 7 bytes, as a compressor may make one, is followed by a zero.
TEST_CASE("G2 G8 ST-03 a segment's id that ends in a zero is found at the end of a body, too") {
  for (std::uint64_t seed = 1;; ++seed) {
    LogFixture f(seed);
    f.put(make_batch("A"));
    const std::uint64_t id = f.read_all(true, 1 * MiB).batches.at(0).header.segment_id;
    f.storage.crash(CrashPolicy::none());
    if (id >> 56 != 0) continue;  // of one in 256
    f.open();
    Bytes attack(batch_layout::header_bytes + 64, std::byte{'x'});
    for (std::size_t i = 0; i < 7; ++i) attack.push_back(static_cast<std::byte>(id >> (8 * i)));
    BatchDraft draft;
    draft.codec = Codec::lz4;
    draft.raw_bytes = 200;
    draft.event_count = 1;
    seal_batch(attack, draft);
    REQUIRE(f.storage.append_and_commit(attack)->begin == Offset{1});
    REQUIRE(f.storage.files_ending(".segment").size() == 2);
    return;
  }
}

// What ends a body and what begins the next header may be a header together.
TEST_CASE("G2 G8 ST-03 a segment's id in what a producer writes of a header is found") {
  LogFixture f(1);
  f.put(make_batch("A"));
  const auto stored = f.read_all(true, 1 * MiB).batches;
  const std::uint64_t id = stored.at(0).header.segment_id;
  SECTION("as the producer's id") { f.put(make_batch("B", {.producer_id = id})); }
  SECTION("as its sequence") { f.put(make_batch("B", {.producer_id = 7, .sequence = id})); }
  SECTION("as the time of its event") {
    f.put(make_batch("B", {.time_ns = static_cast<std::int64_t>(id)}));
  }
  REQUIRE(f.storage.files_ending(".segment").size() == 2);
}

TEST_CASE("a stored batch that is sent again as it lies begins no new segment") {
  LogFixture f(1);
  f.put(make_batch("A"));
  const auto stored = f.read_all(true, 1 * MiB).batches;
  REQUIRE(f.storage.append_and_commit(stored.at(0).bytes)->begin == Offset{1});
  REQUIRE(f.storage.files_ending(".segment").size() == 1);
}

TEST_CASE("a payload that does not name the segment begins no new one") {
  LogFixture f(2);
  f.put_many(3);
  REQUIRE(f.storage.append_and_commit(forged(0xABCDEF, Position{8192}, Offset{9}))->begin ==
          Offset{3});
  REQUIRE(f.storage.files_ending(".segment").size() == 1);
}
