// A range of damage whose beginning was known was passed over, also where it reached further by
// then: what was added was missing from the list that describe and the metrics show.
#include "storage/corrupt_ranges.h"

#include <catch2/catch.hpp>

using namespace millrace;

TEST_CASE("G7 damage that reaches further than what is known of it is told to its end") {
  CorruptRanges ranges;
  Segment segment;
  const auto note = [&](std::uint64_t begin, std::uint64_t end) {
    ranges.note_damage(segment, {{{Offset{begin}, Offset{end}}, Position{4096}}}, Offset{0});
  };
  note(5, 8);
  note(10, 11);
  note(5, 12);
  for (std::uint64_t offset = 5; offset < 12; ++offset) {
    INFO("offset " << offset);
    CHECK(ranges.at(Offset{offset}) != nullptr);
  }
  CHECK(ranges.reaches(Offset{12}));
  CHECK(ranges.at(Offset{12}) == nullptr);
}
