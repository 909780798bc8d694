#include "storage/segment_chain.h"

#include <catch2/catch.hpp>

#include <algorithm>

using namespace millrace;

namespace {

constexpr std::uint64_t each = 10;  // events of a segment

// Segments [0, 10), [10, 20), ... with the ids 1, 2, ...; each ends where the next begins.
std::deque<SegmentRef> chain(std::uint64_t count) {
  std::deque<SegmentRef> out;
  for (std::uint64_t i = 0; i < count; ++i) {
    auto s = std::make_shared<Segment>();
    s->header.base_offset = Offset{i * each};
    s->header.segment_id = i + 1;
    s->header.previous_segment_id = i;
    s->header.previous_base_offset = Offset{i == 0 ? 0 : (i - 1) * each};
    s->path = "orders/" + std::to_string(i) + ".segment";
    s->end_offset = Offset{(i + 1) * each};
    out.push_back(std::move(s));
  }
  return out;
}

// What a log of `count` such segments wrote last.
std::optional<Checkpoint> checkpoint_of(std::uint64_t count) {
  Checkpoint checkpoint;
  checkpoint.durable_end = Offset{count * each - 3};
  checkpoint.segment_id = count;
  checkpoint.segment_base = Offset{(count - 1) * each};
  return checkpoint;
}

void remove(std::deque<SegmentRef>& segments, std::size_t i) {
  if (i > 0 && i < segments.size()) segments[i - 1]->end_offset = segments[i]->end_offset;
  segments.erase(segments.begin() + static_cast<std::ptrdiff_t>(i));
}

OffsetRange offsets(std::uint64_t begin, std::uint64_t end) { return {Offset{begin}, Offset{end}}; }

std::vector<ChainFault> check(const std::deque<SegmentRef>& segments,
                              const std::optional<Checkpoint>& checkpoint) {
  return check_chain(segments, checkpoint, "orders");
}

}  // namespace

TEST_CASE("a whole chain has no fault, with and without a checkpoint") {
  for (const std::uint64_t count : {1u, 2u, 5u}) {
    REQUIRE(check(chain(count), std::nullopt).empty());
    REQUIRE(check(chain(count), checkpoint_of(count)).empty());
  }
  REQUIRE(check({}, std::nullopt).empty());
}

TEST_CASE("ST-09 a missing middle segment is named by the one behind it") {
  auto segments = chain(4);
  remove(segments, 1);
  for (const auto& checkpoint : {checkpoint_of(4), std::optional<Checkpoint>{}}) {
    const auto faults = check(segments, checkpoint);
    REQUIRE(faults.size() == 1);
    REQUIRE(faults[0].range.offsets == offsets(10, 20));
    REQUIRE(faults[0].refusal.find("[10, 20)") != std::string::npos);
    REQUIRE(segments[0]->end_offset == Offset{10});
  }
}

TEST_CASE("ST-09 missing first segments are told from a start that moved") {
  auto segments = chain(4);
  remove(segments, 0);
  auto checkpoint = checkpoint_of(4);
  const auto faults = check(segments, checkpoint);
  REQUIRE(faults.size() == 1);
  REQUIRE(faults[0].range.offsets == offsets(0, 10));
  REQUIRE_FALSE(faults[0].refusal.empty());
  checkpoint->start_offset = Offset{10};
  REQUIRE(check(segments, checkpoint).empty());
}

TEST_CASE("ST-09 a missing newest segment is named by the checkpoint") {
  auto segments = chain(4);
  remove(segments, 3);
  const auto faults = check(segments, checkpoint_of(4));
  REQUIRE(faults.size() == 1);
  REQUIRE(faults[0].range.offsets == offsets(30, 37));
  REQUIRE_FALSE(faults[0].refusal.empty());
}

TEST_CASE("ST-09 a log without files is missing what its checkpoint says was there") {
  auto checkpoint = checkpoint_of(4);
  const auto faults = check({}, checkpoint);
  REQUIRE(faults.size() == 1);
  REQUIRE(faults[0].range.offsets == offsets(0, 37));
  REQUIRE_FALSE(faults[0].refusal.empty());
  // All of it was trimmed.
  checkpoint->start_offset = checkpoint->durable_end;
  REQUIRE(check({}, checkpoint).empty());
}

TEST_CASE("ST-04 a segment whose header does not verify is fenced, and appends go on behind it") {
  auto segments = chain(3);
  segments[1]->readable = false;
  segments[1]->header.segment_id = 0;
  const auto faults = check(segments, checkpoint_of(3));
  REQUIRE(faults.size() == 1);
  REQUIRE(faults[0].range.offsets == offsets(10, 20));
  REQUIRE(faults[0].range.file == segments[1]->path);
  REQUIRE(faults[0].refusal.empty());
}

TEST_CASE("ST-04 a newest segment whose header does not verify gives no offset away") {
  auto segments = chain(3);
  segments[2]->readable = false;
  const auto with = check(segments, checkpoint_of(3));
  REQUIRE(with.size() == 1);
  REQUIRE(with[0].range.offsets == offsets(20, 27));
  REQUIRE(with[0].refusal.find(segments[2]->path) != std::string::npos);
  const auto without = check(segments, std::nullopt);
  REQUIRE(without.size() == 1);
  REQUIRE(without[0].range.offsets == offsets(20, 21));
}

TEST_CASE("ST-09 a newest segment that its checkpoint has only just named is missed") {
  // Written when the file was made: at the end of a log that was trimmed to it, or of a new one.
  auto checkpoint = checkpoint_of(4);
  checkpoint->durable_end = checkpoint->start_offset = checkpoint->segment_base;
  REQUIRE(check({chain(4).back()}, checkpoint).empty());
  auto leftover = chain(3);
  for (const auto& segments : {std::deque<SegmentRef>{}, leftover}) {
    const auto faults = check(segments, checkpoint);
    REQUIRE(faults.size() == 1);
    REQUIRE(faults[0].range.offsets == offsets(30, 31));
    REQUIRE_FALSE(faults[0].refusal.empty());
  }
}
