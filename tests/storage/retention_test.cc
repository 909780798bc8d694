#include "storage/retention.h"

#include "storage/base/random.h"

#include <catch2/catch.hpp>

using namespace millrace;

namespace {

// Segments of these sizes; the last is active. Segment i was sealed at second i + 1.
std::vector<SegmentRef> segments_of(const std::vector<std::uint64_t>& sizes) {
  std::vector<SegmentRef> out;
  std::uint64_t offset = 0;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    auto s = std::make_shared<Segment>();
    s->header.base_offset = Offset{offset};
    offset += 10;
    s->end_offset = Offset{offset};
    s->end_position = Position{sizes[i]};
    s->active = i + 1 == sizes.size();
    if (!s->active) s->sealed_at = WallTime{seconds(static_cast<std::int64_t>(i) + 1).ns};
    out.push_back(std::move(s));
  }
  return out;
}

WallTime at(std::int64_t second) { return WallTime{seconds(second).ns}; }

LogOptions keep_all() {
  LogOptions options;
  options.retention_age = seconds(0);
  options.retention_bytes = 0;
  return options;
}

}  // namespace

TEST_CASE("without limits nothing is retired") {
  REQUIRE(segments_to_retire(segments_of({100, 100, 100}), keep_all(), at(1'000'000)) == 0);
  REQUIRE(segments_to_retire({}, keep_all(), at(1)) == 0);
}

TEST_CASE("by age, sealed segments go in order and the active one stays") {
  auto options = keep_all();
  options.retention_age = seconds(10);
  const auto segments = segments_of({100, 100, 100, 100});
  REQUIRE(segments_to_retire(segments, options, at(10)) == 0);
  REQUIRE(segments_to_retire(segments, options, at(11)) == 1);
  REQUIRE(segments_to_retire(segments, options, at(12)) == 2);
  REQUIRE(segments_to_retire(segments, options, at(1000)) == 3);
  REQUIRE(segments_to_retire(segments_of({100}), options, at(1000)) == 0);
}

TEST_CASE("by size, the oldest go while the log is larger than its limit") {
  auto options = keep_all();
  options.retention_bytes = 250;
  REQUIRE(segments_to_retire(segments_of({100, 100, 100, 100}), options, at(0)) == 2);
  options.retention_bytes = 1;
  REQUIRE(segments_to_retire(segments_of({100, 100, 100, 100}), options, at(0)) == 3);
  options.retention_bytes = 400;
  REQUIRE(segments_to_retire(segments_of({100, 100, 100, 100}), options, at(0)) == 0);
}

TEST_CASE("a limit of size never leaves less than it allows to keep") {
  Random random(3);
  auto options = keep_all();
  for (int round = 0; round < 500; ++round) {
    std::vector<std::uint64_t> sizes(1 + random.below(8));
    std::uint64_t total = 0;
    for (auto& size : sizes) total += size = 1 + random.below(1000);
    options.retention_bytes = 1 + random.below(4000);
    const auto gone = segments_to_retire(segments_of(sizes), options, at(0));
    REQUIRE(gone < sizes.size());
    std::uint64_t left = total;
    for (std::size_t i = 0; i < gone; ++i) left -= sizes[i];
    if (left > options.retention_bytes) REQUIRE(gone + 1 == sizes.size());
    if (gone > 0) REQUIRE(left + sizes[gone - 1] > options.retention_bytes);
  }
}

TEST_CASE("segments wholly below a start are counted") {
  const auto segments = segments_of({1, 1, 1});
  REQUIRE(segments_below(segments, Offset{0}) == 0);
  REQUIRE(segments_below(segments, Offset{9}) == 0);
  REQUIRE(segments_below(segments, Offset{10}) == 1);
  REQUIRE(segments_below(segments, Offset{25}) == 2);
  // The active segment holds the end and is never below anything.
  REQUIRE(segments_below(segments, Offset{30}) == 2);
}
