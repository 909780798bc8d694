#include "storage/log_files.h"

#include "storage/format/segment_layout.h"
#include "tests/storage/log_fixture.h"

#include <catch2/catch.hpp>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

TEST_CASE("names of a log's files are made and parsed") {
  REQUIRE(segment_file_name(Offset{1000}) == "00000000000000001000.segment");
  REQUIRE(index_file_name(Offset{0}) == "00000000000000000000.index");
  for (const Offset base : {Offset{0}, Offset{1}, Offset{123456789}, offset_max}) {
    REQUIRE(parse_segment_file_name(segment_file_name(base)) == base);
    REQUIRE(parse_index_file_name(index_file_name(base)) == base);
    REQUIRE_FALSE(parse_segment_file_name(index_file_name(base)));
    REQUIRE_FALSE(parse_index_file_name(segment_file_name(base)));
  }
}

TEST_CASE("ST-10 names that are almost a segment's are not") {
  for (const auto* name : {"", "segment", ".segment", "1000.segment", "0000000000000001000.segment",
                           "000000000000000001000.segment", "00000000000000001000.segment.tmp",
                           "00000000000000001000.segment~", " 0000000000000001000.segment",
                           "-0000000000000001000.segment", "+0000000000000001000.segment",
                           "0000000000000000100x.segment", "00000000000000001000.SEGMENT",
                           "99999999999999999999.segment", "00000000000000001000", "checkpoint"}) {
    INFO(name);
    REQUIRE_FALSE(parse_segment_file_name(name));
  }
}

TEST_CASE("an offset above the largest is no base offset") {
  REQUIRE_FALSE(parse_segment_file_name("04611686018427387904.segment"));
  REQUIRE(parse_segment_file_name("04611686018427387903.segment") == offset_max);
}

TEST_CASE("paths are joined with one slash") { REQUIRE(join_path("a/b", "c") == "a/b/c"); }

// ST-31: a name that counts appears over bytes that are durable already; a rename alone makes
// nothing so.
TEST_CASE("ST-31 whenever a segment has its name, its header is durable") {
  std::size_t seen = 0;
  for (std::uint64_t operation = 1;; ++operation) {
    INFO("power lost at operation " << operation);
    LogFixture f(operation);
    f.storage.disk().on_crash([&](const SimImage& image) {
      const auto directory = image.find("topics/orders/0");
      if (directory == nullptr) return;
      for (const auto& [name, node] : directory->names) {
        const auto base = parse_segment_file_name(name);
        if (!base) continue;
        ++seen;
        INFO(name);
        REQUIRE(node->durable.size() >= segment_layout::header_bytes);
        const auto header = decode_segment_header(node->durable);
        REQUIRE(header);
        REQUIRE(header->base_offset == *base);
      }
    });
    f.storage.disk().crash_at(operation, CrashPolicy::none());
    // Rolls, a file of the pool that is a segment again, a restart.
    for (int i = 0; i < 12 && f.storage.disk().has_power(); ++i) {
      (void)f.storage.append_and_commit(make_batch_of_bytes(16'000));
      if (i == 8 && f.storage.disk().has_power())
        (void)f.storage.trim(f.storage.log().durable_end());
    }
    const bool crashed = !f.storage.disk().has_power();
    f.storage.disk().no_crash();
    f.storage.disk().on_crash({});
    f.crash();
    if (!crashed) break;
  }
  REQUIRE(seen > 100);
}
