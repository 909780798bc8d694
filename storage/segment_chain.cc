#include "storage/segment_chain.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

namespace millrace {

namespace {

ChainFault missing(const std::string& directory, OffsetRange offsets, const std::string& what) {
  return {{offsets, directory, {}, what}, what};
}

ChainFault unreadable(const Segment& segment, Offset end, std::string refusal) {
  return {{{segment.base(), end}, segment.path, Position{0}, "segment header does not verify"},
          std::move(refusal)};
}

// Between two neighbours.
std::optional<ChainFault> check_link(Segment& before, const Segment& after,
                                     const std::string& directory) {
  if (!before.readable) return unreadable(before, after.base(), {});
  if (!after.readable || after.header.previous_segment_id == before.header.segment_id) return {};
  const Offset begin = std::max(before.base(), after.header.previous_base_offset);
  before.end_offset = begin;
  return missing(directory, {begin, after.base()},
                 fmt::format("a segment is missing between {} and {}: offsets [{}, {})",
                             before.path, after.path, begin.value, after.base().value));
}

}  // namespace

bool must_be_there(const Checkpoint& checkpoint) {
  return checkpoint.segment_id != 0 && (checkpoint.start_offset < checkpoint.durable_end ||
                                        checkpoint.start_offset <= checkpoint.segment_base);
}

Offset least_end(const Checkpoint& checkpoint) {
  return std::max(checkpoint.segment_base + 1, checkpoint.durable_end);
}

std::vector<ChainFault> check_chain(const std::deque<SegmentRef>& segments,
                                    const std::optional<Checkpoint>& checkpoint,
                                    const std::string& directory) {
  std::vector<ChainFault> faults;
  const bool vouches = checkpoint && must_be_there(*checkpoint);
  if (segments.empty()) {
    if (vouches)
      faults.push_back(
          missing(directory, {checkpoint->start_offset, least_end(*checkpoint)},
                  fmt::format("all segments are missing: offsets [{}, {}) were here",
                              checkpoint->start_offset.value, least_end(*checkpoint).value)));
    return faults;
  }
  const Offset first = segments.front()->base();
  if (checkpoint && checkpoint->start_offset < first)
    faults.push_back(missing(directory, {checkpoint->start_offset, first},
                             fmt::format("the first segments are missing: offsets [{}, {})",
                                         checkpoint->start_offset.value, first.value)));
  for (std::size_t i = 0; i + 1 < segments.size(); ++i)
    if (auto fault = check_link(*segments[i], *segments[i + 1], directory))
      faults.push_back(std::move(*fault));
  const Segment& last = *segments.back();
  if (!last.readable) {
    const Offset known_end = checkpoint ? checkpoint->durable_end : Offset{0};
    faults.push_back(
        unreadable(last, std::max(last.base() + 1, known_end),
                   fmt::format("{}: the header of the newest segment does not verify", last.path)));
  }
  if (vouches && checkpoint->segment_base > last.base())
    faults.push_back(missing(directory, {checkpoint->segment_base, least_end(*checkpoint)},
                             fmt::format("the newest segment (offset {} on) is missing",
                                         checkpoint->segment_base.value)));
  return faults;
}

}  // namespace millrace
