#include "storage/batch_scan.h"

#include "storage/base/check.h"
#include "storage/base/crc32c.h"

#include <algorithm>
#include <cstring>

namespace millrace {

namespace layout = batch_layout;

bool all_zero(ByteView bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

namespace {

ByteView from_position(const ScanWindow& window, Position from) {
  return window.bytes.subspan(from - window.at);
}

// Skips zeros between two commits. Anything else between them is damage, which shows as no batch at
// `from`.
Position skip_padding(const ScanWindow& window, Position from) {
  const Position boundary{align_up(from.value, layout::commit_alignment)};
  if (boundary == from || boundary > window.end()) return from;
  const ByteView padding = from_position(window, from).first(boundary - from);
  return all_zero(padding) ? boundary : from;
}

// Written to this very place: it cannot know of a durable position behind its own.
bool is_in_place(const BatchHeader& header, Position at, std::uint64_t segment_id) {
  return header.segment_id == segment_id && header.position == at.value &&
         header.durable_position <= at.value;
}

bool continues(const BatchHeader& header, Position at, const ScanExpectation& expect) {
  return is_in_place(header, at, expect.segment_id) && header.base_offset == expect.next_offset &&
         (!expect.previous_crc || *expect.previous_crc == header.previous_crc);
}

ScanStep no_batch(Position at) { return {ScanStep::Kind::no_batch, {}, at, at, 0}; }

}  // namespace

ScanStep scan_batch(const ScanWindow& window, Position from, Position file_end,
                    const ScanExpectation& expect) {
  CHECK(from.value % layout::batch_alignment == 0, "batches begin on 8-byte boundaries");
  CHECK(from >= window.at, "the window has not passed the scan");
  const auto need = [&](Position at, std::size_t bytes) {
    return ScanStep{ScanStep::Kind::need_more, {}, at, at, bytes};
  };
  if (from >= window.end()) return from >= file_end ? no_batch(from) : need(from, 1);
  const Position boundary{align_up(from.value, layout::commit_alignment)};
  if (boundary > window.end() && window.end() < file_end) return need(from, boundary - from);
  const Position at = skip_padding(window, from);
  if (at >= window.end()) return at >= file_end ? no_batch(from) : need(at, 1);

  const ByteView rest = from_position(window, at);
  if (rest.size() < layout::header_bytes)
    return window.end() < file_end ? need(at, layout::header_bytes) : no_batch(from);
  const auto header = parse_batch_header(rest);
  if (!header || !continues(*header, at, expect)) return no_batch(from);
  if (rest.size() < header->batch_bytes())
    return window.end() < file_end ? need(at, header->batch_bytes()) : no_batch(from);
  if (!BatchView::parse(rest)) return no_batch(from);
  return {ScanStep::Kind::batch, *header, at, at + header->padded_bytes(), 0};
}

std::optional<FoundBatch> find_batch(const ScanWindow& window, Position from,
                                     std::optional<std::uint64_t> segment_id, Offset offset_min) {
  for (Position at{align_up(from.value, layout::batch_alignment)};
       at + layout::header_bytes <= window.end(); at = at + layout::batch_alignment) {
    const ByteView rest = from_position(window, at);
    if (load_le<std::uint32_t>(rest.data()) != layout::magic) continue;
    const auto header = parse_batch_header(rest);
    if (!header || header->base_offset < offset_min ||
        !is_in_place(*header, at, segment_id.value_or(header->segment_id)))
      continue;
    return FoundBatch{*header, at};
  }
  return std::nullopt;
}

SearchReach SearchReach::of(const SegmentHeader& header) {
  constexpr std::uint64_t padding = 2 * layout::commit_alignment;
  const std::uint64_t batch =
      header.batch_bytes_max == 0 ? layout::body_bytes_limit : header.batch_bytes_max;
  return {std::max(batch, layout::commit_bytes_max) + padding};
}

Position SearchReach::end(Position bad) const {
  return Position{align_up(bad.value, layout::commit_alignment)} + bytes;
}

Position SearchReach::end_behind(const FoundBatch& found) const {
  return end(found.position + found.header.padded_bytes());
}

bool proves_damage(const FoundBatch& behind, Position bad, Offset next_offset, bool gap_is_dirty) {
  const Position boundary{align_up(bad.value, layout::commit_alignment)};
  const Position durable{behind.header.durable_position};
  if (durable != boundary || boundary == bad) return durable > bad;
  return gap_is_dirty || (behind.position == boundary && behind.header.base_offset > next_offset);
}

}  // namespace millrace
