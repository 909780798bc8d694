#include "storage/corrupt_ranges.h"

#include <catch2/catch.hpp>

using namespace millrace;

namespace {

OffsetRange offsets(std::uint64_t begin, std::uint64_t end) { return {Offset{begin}, Offset{end}}; }

CorruptRange range(std::uint64_t begin, std::uint64_t end) {
  return {offsets(begin, end), "some.segment", Position{4096}, "it was tested"};
}

Segment segment() {
  Segment s;
  s.path = "orders/0/00000000000000000000.segment";
  return s;
}

}  // namespace

TEST_CASE("corrupt ranges are in order, whatever the order in which they were found") {
  CorruptRanges ranges;
  ranges.add(range(20, 30));
  ranges.add(range(5, 6));
  ranges.add(range(10, 12));
  REQUIRE(ranges.list().size() == 3);
  REQUIRE(ranges.list()[0].offsets == offsets(5, 6));
  REQUIRE(ranges.list()[1].offsets == offsets(10, 12));
  REQUIRE(ranges.list()[2].offsets == offsets(20, 30));
}

TEST_CASE("G7 an offset is in a corrupt range from its beginning up to its end") {
  CorruptRanges ranges;
  REQUIRE(ranges.at(Offset{0}) == nullptr);
  ranges.add(range(5, 7));
  REQUIRE(ranges.at(Offset{4}) == nullptr);
  REQUIRE(ranges.at(Offset{5}) != nullptr);
  REQUIRE(ranges.at(Offset{6})->offsets == offsets(5, 7));
  REQUIRE(ranges.at(Offset{7}) == nullptr);
}

TEST_CASE("damage is noted once, and not below the start of the log") {
  CorruptRanges ranges;
  const std::vector<SegmentScan::Damage> damage{{offsets(1, 3), Position{4096}},
                                                {offsets(8, 9), Position{8192}}};
  ranges.note_damage(segment(), damage, Offset{3});
  ranges.note_damage(segment(), damage, Offset{3});
  REQUIRE(ranges.list().size() == 1);
  REQUIRE(ranges.list()[0].offsets == offsets(8, 9));
  REQUIRE(ranges.list()[0].file == segment().path);
  REQUIRE(ranges.list()[0].position == Position{8192});
}

TEST_CASE("a corrupt range is forgotten when the log starts at its end, and not before") {
  CorruptRanges ranges;
  ranges.add(range(2, 4));
  ranges.add(range(6, 8));
  ranges.forget_below(Offset{3});
  REQUIRE(ranges.list().size() == 2);
  ranges.forget_below(Offset{4});
  REQUIRE(ranges.list().size() == 1);
  REQUIRE(ranges.at(Offset{6}) != nullptr);
}

TEST_CASE("corrupt ranges reach an end that the last of them covers") {
  CorruptRanges ranges;
  REQUIRE_FALSE(ranges.reaches(Offset{0}));
  ranges.add(range(2, 4));
  REQUIRE(ranges.reaches(Offset{4}));
  REQUIRE_FALSE(ranges.reaches(Offset{5}));
}

TEST_CASE("G7 the error of a corrupt range says what is lost and where reading goes on") {
  const Error error = corrupt_error(range(5, 7));
  REQUIRE(error.code == Errc::corrupt);
  REQUIRE(error.range_begin == 5);
  REQUIRE(error.range_end == 7);
  for (const auto* part : {"[5, 7)", "some.segment", "4096", "it was tested", "goes on at 7"}) {
    INFO(part);
    REQUIRE(error.text.find(part) != std::string::npos);
  }
}
