#include "storage/segment_read.h"

#include "storage/base/call_last.h"
#include "storage/base/check.h"

#include <fmt/core.h>

#include <algorithm>

namespace millrace {

namespace {
constexpr std::uint64_t block = Disk::direct_alignment;
constexpr std::size_t window_bytes_min = read_memory_min;
constexpr std::size_t window_bytes_max = 2 * MiB;
}  // namespace

SegmentRead::SegmentRead(Disk& disk, SlabPool& slabs, Plan plan, OnDamage on_damage, Done done)
    : disk_(disk),
      slabs_(slabs),
      plan_(std::move(plan)),
      on_damage_(std::move(on_damage)),
      done_(std::move(done)),
      io_(this, Completion::to<&SegmentRead::step, SegmentRead>()) {}

void SegmentRead::start() {
  const Segment& segment = *plan_.segment;
  const auto& entries = segment.index.entries();
  if (segment.index_whole || (!entries.empty() && entries.front().offset <= plan_.from))
    return on_indexed();
  load_ = std::make_unique<IndexLoad>(disk_, slabs_, plan_.segment, plan_.index_path,
                                      plan_.index_interval_bytes, [this](auto damage) {
                                        if (!damage) return call_last(done_, fail(damage.error()));
                                        on_damage_(plan_.segment, *damage);
                                        on_indexed();
                                      });
  load_->start();
}

void SegmentRead::on_indexed() {
  const IndexEntry first{plan_.segment->base(), segment_layout::first_batch_position, {}};
  entry_ = plan_.segment->index.floor(plan_.from, first);
  open();
}

void SegmentRead::open() {
  at_ = entry_.position;
  expect_ = {plan_.segment->header.segment_id, entry_.offset, std::nullopt};
  // What an index entry names is taken without the one before it; the first batch of all is not.
  if (at_ == segment_layout::first_batch_position)
    expect_.previous_crc = plan_.segment->header.previous_crc;
  run_begin_ = run_end_ = Position{0};
  stage_ = Stage::open;
  disk_.open(io_, plan_.segment->path, OpenMode::read, Disk::Access::direct);
}

void SegmentRead::step(IoResult io) {
  switch (stage_) {
    case Stage::open:
      if (!io) return call_last(done_, fail(io.error()));
      file_ = FileId{static_cast<std::int32_t>(*io)};
      file_end_ = Position{segment_layout::segment_bytes_limit};
      return read_window(at_, 0);
    case Stage::read:
      if (!io) return finish(fail(io.error()));
      window_.bytes = slab_.bytes().first(*io);
      if (*io < window_wanted_) file_end_ = window_.end();
      return walk();
    case Stage::close:
      if (scan_) return scan_->start();
      return call_last(done_, std::move(outcome_));
    case Stage::idle: break;
  }
  UNREACHABLE("a read completed an I/O it never started");
}

void SegmentRead::read_window(Position from, std::size_t bytes_min) {
  const Position start{align_down(from.value, block)};
  const std::size_t wanted =
      std::clamp(plan_.bytes_max + plan_.index_interval_bytes, window_bytes_min, window_bytes_max);
  window_wanted_ = align_up(std::max(wanted, bytes_min + (from - start)), block);
  // Batches that were collected hold on to the slab of the window before.
  slab_ = slabs_.take(window_wanted_);
  if (slab_.empty()) return finish(fail(Errc::overloaded, "no memory to read from disk"));
  window_.at = start;
  stage_ = Stage::read;
  disk_.read(io_, file_, start, {slab_.slab()->data(), window_wanted_});
}

void SegmentRead::walk() {
  const auto collected = [&] { return run_end_ - run_begin_; };
  const auto deliver = [&] {
    result_.buffers.push_back(slab_.slice(run_begin_ - window_.at, collected()));
    finish(std::move(result_));
  };
  for (;;) {
    if (expect_.next_offset >= plan_.limit) break;
    const ScanStep step = scan_batch(window_, at_, file_end_, expect_);
    if (step.kind == ScanStep::Kind::need_more) {
      if (collected() != 0) break;
      return read_window(at_, (step.position - at_) + step.needed);
    }
    if (step.kind == ScanStep::Kind::no_batch) {
      if (collected() != 0) break;  // the next read meets the damage first
      return look_behind_damage();
    }
    at_ = step.next;
    expect_ = {expect_.segment_id, step.header.end_offset(), step.header.header_crc};
    if (step.header.end_offset() <= plan_.from) continue;
    const Position end{step.position.value + step.header.batch_bytes()};
    if (collected() == 0) {
      run_begin_ = step.position;
    } else if (end - run_begin_ > plan_.bytes_max) {
      break;
    }
    run_end_ = end;
    result_.next_offset = step.header.end_offset();
  }
  if (collected() != 0) return deliver();
  finish(fail(Errc::storage_error,
              fmt::format("{}: offset {} was not found before {}", plan_.segment->path,
                          plan_.from.value, plan_.limit.value)));
}

// Something below the limit does not verify. Find out what, without trusting the index, and where
// reading goes on.
void SegmentRead::look_behind_damage() {
  SegmentScan::Plan scan;
  scan.path = plan_.segment->path;
  scan.segment_id = plan_.segment->header.segment_id;
  scan.from = segment_layout::first_batch_position;
  scan.next_offset = plan_.segment->base();
  scan.previous_crc = plan_.segment->header.previous_crc;
  scan.end_offset = plan_.limit;
  auto hit = std::make_shared<IndexEntry>();
  auto rebuilt = std::make_shared<SegmentIndex>();
  const auto visit = [hit, rebuilt, from = plan_.from, interval = plan_.index_interval_bytes](
                         const BatchHeader& header, Position position) {
    rebuilt->note(header, position, interval);
    if (header.end_offset() <= from) return true;
    *hit = {header.base_offset, position, header.append_time};
    return false;
  };
  scan_ = std::make_unique<SegmentScan>(
      disk_, slabs_, std::move(scan), visit, [this, hit, rebuilt](auto found) {
        if (!found) return call_last(done_, fail(found.error()));
        on_damage_(plan_.segment, found->damage);
        for (const SegmentScan::Damage& damage : found->damage) {
          if (plan_.from < damage.offsets.begin || plan_.from >= damage.offsets.end) continue;
          Error error{
              Errc::corrupt,
              fmt::format(
                  "{} at position {}: offsets [{}, {}) do not verify; reading goes on at {}",
                  plan_.segment->path, damage.position.value, damage.offsets.begin.value,
                  damage.offsets.end.value, damage.offsets.end.value)};
          error.range_begin = damage.offsets.begin.value;
          error.range_end = damage.offsets.end.value;
          return call_last(done_, fail(std::move(error)));
        }
        // The log is whole: it was the index that led astray.
        if (hit->position.value == 0 || index_rebuilt_)
          return call_last(done_,
                           fail(Errc::storage_error,
                                plan_.segment->path + ": read failed and could not be explained"));
        index_rebuilt_ = true;
        if (!plan_.segment->active) {
          plan_.segment->index.assign(rebuilt->entries());
          plan_.segment->index_whole = false;
        }
        entry_ = *hit;
        // This very function runs inside the scan; it is destroyed with the read.
        open();
      });
  stage_ = Stage::close;
  disk_.close(io_, file_);
}

void SegmentRead::finish(Result<ReadResult> outcome) {
  outcome_ = std::move(outcome);
  scan_.reset();
  stage_ = Stage::close;
  disk_.close(io_, file_);
}

}  // namespace millrace
