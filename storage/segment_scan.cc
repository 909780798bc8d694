#include "storage/segment_scan.h"

#include "storage/base/call_last.h"
#include "storage/base/check.h"

#include <algorithm>

namespace millrace {

namespace {
constexpr std::size_t window_bytes = 1 * MiB;
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
      if (!result) return close(fail(result.error()));
      found_.file_end = Position{*result};
      return read_window(at_, window_bytes);
    case Stage::read:
      if (!result) return close(fail(result.error()));
      window_.bytes = slab_.bytes().first(*result);
      // The file is what was read, even if it shrank meanwhile.
      if (*result < window_wanted_) found_.file_end = std::min(found_.file_end, window_.end());
      return searching_ ? search() : walk();
    case Stage::close: {
      Done done = std::move(done_);
      return outcome_ ? done(std::move(found_)) : done(fail(outcome_.error()));
    }
    case Stage::idle: break;
  }
  UNREACHABLE("a scan completed an I/O it never started");
}

void SegmentScan::read_window(Position from, std::size_t bytes_min) {
  if (from >= found_.file_end) {
    window_ = {{}, from};
    return searching_ ? search() : walk();
  }
  const Position start{align_down(from.value, block)};
  const std::size_t bytes =
      align_up(std::max<std::size_t>(window_bytes, bytes_min + (from - start)), block);
  if (slab_.size() < bytes) slab_ = slabs_.take(bytes);
  if (slab_.empty()) return close(fail(Errc::overloaded, "no memory to read a segment"));
  stage_ = Stage::read;
  window_.at = start;
  window_wanted_ = bytes;
  disk_.read(io_, file_, start, {slab_.slab()->data(), bytes});
}

void SegmentScan::walk() {
  for (;;) {
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
        if (plan_.stop_after_damage && !found_.damage.empty()) return close({});
        continue;
      case ScanStep::Kind::no_batch: return end_of_batches();
    }
  }
}

// Nothing continues the segment at at_. Look behind it.
void SegmentScan::end_of_batches() {
  searching_ = true;
  first_behind_.reset();
  gap_is_dirty_ = false;
  search_at_ = at_;
  search_end_ = found_.file_end;
  if (!plan_.end_offset) {
    search_end_ = std::min(
        search_end_, Position{align_up(at_.value, block)} + plan_.commit_bytes_max + 2 * block);
    // The file may end inside of the block.
    const Position boundary = std::min(Position{align_up(at_.value, block)}, found_.file_end);
    if (at_ >= window_.at && at_ < boundary && boundary <= window_.end() &&
        !all_zero(window_.bytes.subspan(at_ - window_.at, boundary - at_)))
      found_.tail_is_dirty = gap_is_dirty_ = true;
  }
  if (search_at_ < window_.at || search_at_ + batch_layout::header_bytes > window_.end())
    return read_window(search_at_, batch_layout::header_bytes);
  search();
}

void SegmentScan::search() {
  for (;;) {
    const auto behind = find_batch(window_, search_at_, plan_.segment_id, expect_.next_offset);
    if (!behind || behind->position >= search_end_) break;
    // At the bad place itself only a later batch goes on: one that the log put where missing ones
    // had been. The expected one has just been refused, and what there is of it must not be made
    // whole by what comes to lie behind.
    if (behind->position == at_ && behind->header.base_offset == expect_.next_offset) {
      if (!plan_.end_offset) found_.tail_is_dirty = true;
      search_at_ = at_ + 8;
      continue;
    }
    if (plan_.end_offset) return resume_at(*behind);
    found_.tail_is_dirty = true;
    if (!first_behind_) first_behind_ = behind;
    if (proves_damage(*behind, at_, expect_.next_offset, gap_is_dirty_))
      return resume_at(*first_behind_);
    search_at_ = behind->position + 8;
  }
  // Headers that straddle the window's end are found in the next window, which overlaps by a
  // header.
  const Position next{window_.end().value < batch_layout::header_bytes
                          ? 0
                          : align_down(window_.end().value - batch_layout::header_bytes, 8)};
  if (window_.end() < search_end_ && window_.end() < found_.file_end && next + 8 > search_at_) {
    search_at_ = next + 8;
    return read_window(search_at_, batch_layout::header_bytes);
  }
  searching_ = false;
  if (plan_.end_offset && expect_.next_offset < *plan_.end_offset) {
    found_.damage.push_back({{expect_.next_offset, *plan_.end_offset}, at_});
    found_.end_offset = *plan_.end_offset;
  }
  close({});
}

void SegmentScan::resume_at(const FoundBatch& behind) {
  searching_ = false;
  found_.tail_is_dirty = false;
  found_.went_on_behind = true;
  if (expect_.next_offset < behind.header.base_offset)
    found_.damage.push_back({{expect_.next_offset, behind.header.base_offset}, at_});
  // What is lost below it was given to events, though `behind` itself may turn out to be torn.
  found_.end_offset = behind.header.base_offset;
  found_.end_position = behind.position;
  expect_ = {plan_.segment_id, behind.header.base_offset, std::nullopt};
  at_ = behind.position;
  if (at_ < window_.at || at_ >= window_.end()) return read_window(at_, batch_layout::header_bytes);
  walk();
}

void SegmentScan::close(Result<void> outcome) {
  outcome_ = std::move(outcome);
  stage_ = Stage::close;
  disk_.close(io_, file_);
}

}  // namespace millrace
