#include "storage/segment_scan.h"

#include "storage/base/call_last.h"
#include "storage/base/check.h"

#include <algorithm>

namespace millrace {

namespace {
constexpr std::uint64_t block = Disk::direct_alignment;
}  // namespace

SegmentScan::SegmentScan(Disk& disk, SlabPool& slabs, Plan plan, Visitor visit, Done done)
    : disk_(disk),
      slabs_(slabs),
      plan_(std::move(plan)),
      visit_(std::move(visit)),
      done_(std::move(done)),
      io_(this, Completion::to<&SegmentScan::on_io, SegmentScan>()),
      expect_{plan_.segment_id, plan_.next_offset, plan_.previous_crc},
      at_(plan_.from) {
  found_.end_position = plan_.from;
  found_.end_offset = plan_.next_offset;
  found_.last_crc = plan_.previous_crc;
}

void SegmentScan::start() {
  stage_ = Stage::open;
  disk_.open(io_, plan_.path, OpenMode::read, Disk::Access::direct);
}

void SegmentScan::on_io(IoResult result) {
  switch (stage_) {
    case Stage::open:
      if (!result) return call_last(done_, fail(result.error()));
      file_ = FileId{static_cast<std::int32_t>(*result)};
      stage_ = Stage::size;
      return disk_.file_size(io_, file_);
    case Stage::size:
      if (!result) return static_cast<void>(close(fail(result.error())));
      found_.file_end = Position{*result};
      if (read_window(at_, window_bytes)) go_on();
      return;
    case Stage::read:
      if (!result) return static_cast<void>(close(fail(result.error())));
      window_.bytes = slab_.bytes().first(*result);
      // The file is what was read, even if it shrank meanwhile.
      if (*result < window_wanted_) found_.file_end = std::min(found_.file_end, window_.end());
      return go_on();
    case Stage::close: {
      Done done = std::move(done_);
      return outcome_ ? done(std::move(found_)) : done(fail(outcome_.error()));
    }
    case Stage::idle: break;
  }
  UNREACHABLE("a scan completed an I/O it never started");
}

void SegmentScan::go_on() {
  while (searching_ ? search() : walk()) {
  }
}

bool SegmentScan::read_window(Position from, std::size_t bytes_min, std::size_t bytes_wanted) {
  if (from >= found_.file_end) {
    window_ = {{}, from};
    return true;
  }
  const Position start{align_down(from.value, block)};
  const std::size_t bytes =
      align_up(std::max<std::size_t>(bytes_wanted, bytes_min + (from - start)), block);
  if (slab_.size() < bytes) slab_ = slabs_.take(bytes);
  if (slab_.empty()) return close(fail(Errc::overloaded, "no memory to read a segment"));
  stage_ = Stage::read;
  window_.at = start;
  window_wanted_ = bytes;
  disk_.read(io_, file_, start, {slab_.slab()->data(), bytes});
  return false;
}

bool SegmentScan::walk() {
  if (plan_.end_offset && expect_.next_offset >= *plan_.end_offset) return close({});
  const ScanStep step = scan_batch(window_, at_, found_.file_end, expect_);
  switch (step.kind) {
    case ScanStep::Kind::need_more: return read_window(at_, (step.position - at_) + step.needed);
    case ScanStep::Kind::batch:
      expect_ = {plan_.segment_id, step.header.end_offset(), step.header.header_crc};
      at_ = step.next;
      found_.end_position = step.next;
      found_.end_offset = step.header.end_offset();
      found_.last_crc = step.header.header_crc;
      found_.last = step.header;
      if (!visit_(step.header, step.position)) return close({});
      return true;
    case ScanStep::Kind::no_batch: return end_of_batches();
  }
  UNREACHABLE("a scan step of an unknown kind");
}

// Nothing continues the segment at at_. Look behind it.
bool SegmentScan::end_of_batches() {
  searching_ = true;
  search_begun_ = false;
  first_behind_.reset();
  gap_is_dirty_ = false;
  search_at_ = at_;
  const Position wanted = std::min(Position{align_up(at_.value, block)}, found_.file_end);
  if (at_ < window_.at || window_.end() < wanted) return read_window(at_, block);
  return true;
}

// The window has the rest of at_'s block.
void SegmentScan::begin_search() {
  search_begun_ = true;
  is_bounded_ = false;
  search_end_ = found_.file_end;
  if (plan_.end_offset) return;
  const Position boundary{align_up(at_.value, block)};
  const ByteView rest =
      window_.bytes.subspan(std::min<std::size_t>(at_ - window_.at, window_.bytes.size()));
  if (!all_zero(rest.first(std::min<std::size_t>(boundary - at_, rest.size()))))
    found_.tail_is_dirty = gap_is_dirty_ = true;
  if (expect_.next_offset < plan_.durable_end) return;
  is_bounded_ = true;
  search_end_ = plan_.reach.end(at_);
}

bool SegmentScan::search() {
  if (!search_begun_) begin_search();
  for (;;) {
    const auto behind = find_batch(window_, search_at_, plan_.segment_id, expect_.next_offset);
    if (!behind || behind->position >= search_end_) break;
    search_at_ = behind->position + batch_layout::batch_alignment;
    if (is_bounded_) search_end_ = std::max(search_end_, plan_.reach.end_behind(*behind));
    // At the bad place itself only a later batch goes on: one that the log put where missing ones
    // had been. The expected one has just been refused, and what there is of it must not be made
    // whole by what comes to lie behind.
    if (!plan_.end_offset) found_.tail_is_dirty = true;
    if (behind->position == at_ && behind->header.base_offset == expect_.next_offset) continue;
    // Of a commit in flight, or one that was torn.
    if (plan_.end_offset && behind->header.base_offset >= *plan_.end_offset) continue;
    if (!first_behind_) first_behind_ = behind;
    durable_to_ = std::max(durable_to_, Position{behind->header.durable_position});
    if (was_durable(behind->header) || durable_to_ > Position{align_up(at_.value, block)} ||
        proves_damage(*behind, at_, expect_.next_offset, gap_is_dirty_))
      return resume_at(*first_behind_);
  }
  // Headers that straddle the window's end are found in the next window, which overlaps by a
  // header.
  if (window_.end() < search_end_ && window_.end() < found_.file_end) {
    search_at_ = std::max(
        search_at_, Position{align_down(window_.end().value - batch_layout::header_bytes, 8)} + 8);
    return read_window(search_at_, batch_layout::header_bytes,
                       std::min<std::uint64_t>(window_bytes, search_end_ - search_at_));
  }
  return nothing_behind();
}

bool SegmentScan::was_durable(const BatchHeader& behind) const {
  return plan_.end_offset ||
         (expect_.next_offset < plan_.durable_end && behind.base_offset <= plan_.durable_end);
}

bool SegmentScan::nothing_behind() {
  searching_ = false;
  if (plan_.end_offset && expect_.next_offset < *plan_.end_offset) {
    note_damage({expect_.next_offset, *plan_.end_offset});
    found_.end_offset = *plan_.end_offset;
  }
  return close({});
}

bool SegmentScan::resume_at(const FoundBatch& behind) {
  searching_ = false;
  found_.tail_is_dirty = false;
  found_.went_on_behind = true;
  note_damage({expect_.next_offset, behind.header.base_offset});
  // What is lost below it was given to events, though `behind` itself may turn out to be torn.
  found_.end_offset = behind.header.base_offset;
  found_.end_position = behind.position;
  expect_ = {plan_.segment_id, behind.header.base_offset, std::nullopt};
  at_ = behind.position;
  if (at_ < window_.at || at_ >= window_.end()) return read_window(at_, batch_layout::header_bytes);
  return true;
}

// One range as long as no batch between verifies.
void SegmentScan::note_damage(OffsetRange offsets) {
  if (offsets.empty()) return;
  auto& damage = found_.damage;
  if (!damage.empty() && damage.back().offsets.end == offsets.begin) {
    damage.back().offsets.end = offsets.end;
  } else {
    damage.push_back({offsets, at_});
  }
}

bool SegmentScan::close(Result<void> outcome) {
  outcome_ = std::move(outcome);
  stage_ = Stage::close;
  disk_.close(io_, file_);
  return false;
}

}  // namespace millrace
