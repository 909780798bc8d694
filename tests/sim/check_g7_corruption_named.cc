#include "tests/sim/checks.h"

#include <fmt/core.h>

#include <algorithm>

namespace millrace::sim {
namespace {

bool overlap(const OffsetRange& a, const OffsetRange& b) {
  return a.begin < b.end && b.begin < a.end;
}

bool is_rotten(const PartitionRecord& part, const OffsetRange& range) {
  return std::any_of(part.rotten.begin(), part.rotten.end(),
                     [&](const auto& rotten) { return overlap(rotten, range); });
}

// A promised batch in `range` whose bytes are as they were written.
std::optional<std::uint64_t> whole_batch_in(const PartitionRecord& part, const OffsetRange& range) {
  for (const auto& [base, placed] : part.placed) {
    const OffsetRange own{Offset{base}, Offset{base + placed.count}};
    if (overlap(own, range) && !is_rotten(part, own)) return base;
  }
  return std::nullopt;
}

}  // namespace

// An error that names a range: some byte of it must really be rotten, and no batch in it whole.
void check_g7_named(Oracle& oracle, TopicIndex topic, PartitionIndex partition,
                    const Error& error) {
  const PartitionRecord& part = oracle.topics[topic].parts[partition];
  if (part.was_lied_to) return;
  const OffsetRange range{Offset{error.range_begin}, Offset{error.range_end}};
  const auto where = place_text(oracle, topic, partition);
  if (range.begin >= range.end) {
    return oracle.fail("G7",
                       fmt::format("{}: damage without its offsets: {}", where, error.to_string()));
  }
  if (!part.is_rotten) {
    return oracle.fail(
        "G7", fmt::format("{}: damage is named where there is none: {}", where, error.to_string()));
  }
  if (part.lost_checkpoint || part.may_refuse) return;
  if (const auto whole = whole_batch_in(part, range)) {
    oracle.fail("G7", fmt::format("{}: the batch at offset {} is whole, and is in the damage: {}",
                                  where, *whole, error.to_string()));
  }
}

// What is rotten and was promised is named: not delivered (G2 would see its bytes) and not skipped.
void check_g7_holes(Oracle& oracle, const FullRead& read) {
  const PartitionRecord& part = oracle.topics[read.topic].parts[read.partition];
  if (part.was_lied_to) return;
  for (const auto& hole : read.holes) {
    Error error{Errc::corrupt, "a hole in the log"};
    error.range_begin = hole.begin.value;
    error.range_end = hole.end.value;
    check_g7_named(oracle, read.topic, read.partition, error);
  }
}

// The rot was taken away again: nothing may be missing that was not trimmed.
void check_g7_healed(Oracle& oracle, const FullRead& read) {
  const PartitionRecord& part = oracle.topics[read.topic].parts[read.partition];
  if (part.was_lied_to || part.lost_checkpoint || part.may_refuse || read.holes.empty()) return;
  oracle.fail("G7",
              fmt::format("{}: all bytes are as they were written, and [{}, {}) is still named "
                          "as damaged",
                          place_text(oracle, read.topic, read.partition),
                          read.holes.front().begin.value, read.holes.front().end.value));
}

}  // namespace millrace::sim
