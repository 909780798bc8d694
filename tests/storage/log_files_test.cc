#include "storage/log_files.h"

#include <catch2/catch.hpp>

using namespace millrace;

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
