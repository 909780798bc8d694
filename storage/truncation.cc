#include "storage/truncation.h"

#include "storage/base/call_last.h"
#include "storage/base/check.h"
#include "storage/log_files.h"

#include <fmt/core.h>

namespace millrace {

Truncation::Truncation(Disk& disk, SlabPool& slabs, SegmentPool& pool,
                       CheckpointFile& checkpoint_file, Plan plan, Done done)
    : disk_(disk),
      slabs_(slabs),
      pool_(pool),
      checkpoint_file_(checkpoint_file),
      plan_(std::move(plan)),
      done_(std::move(done)),
      io_(this, Completion::to<&Truncation::step, Truncation>()),
      tail_cut_(disk, slabs) {}

void Truncation::start() {
  for (const SegmentRef& segment : plan_.segments)
    if (segment->base() <= plan_.end) last_ = segment;
  if (!last_)
    return call_last(done_, fail(Errc::bad_request, "truncation below the start of the log"));
  SegmentScan::Plan scan;
  scan.path = last_->path;
  scan.segment_id = last_->header.segment_id;
  scan.from = segment_layout::first_batch_position;
  scan.next_offset = last_->base();
  scan.previous_crc = last_->header.previous_crc;
  scan.end_offset = plan_.end;
  scan_ = std::make_unique<SegmentScan>(
      disk_, slabs_, std::move(scan), [](const BatchHeader&, Position) { return true; },
      [this](auto found) {
        if (!found) return call_last(done_, fail(found.error()));
        on_found(*found);
      });
  scan_->start();
}

void Truncation::on_found(const SegmentScan::Found& found) {
  if (found.end_offset != plan_.end)
    return call_last(
        done_, fail(Errc::bad_request, fmt::format("offset {} lies inside a batch that ends at {}",
                                                   plan_.end.value, found.end_offset.value)));
  cut_ = found.end_position;
  lower_checkpoint();
}

// What it vouches for must not be more than what will be there. Into both slots: whichever may be
// lost, the other one does not vouch for what is cut.
void Truncation::lower_checkpoint() {
  checkpoint_file_.write(plan_.lowered, [this](auto written) {
    if (!written) return call_last(done_, fail(written.error()));
    checkpoint_file_.write(std::move(plan_.lowered), [this](auto written_again) {
      if (!written_again) return call_last(done_, fail(written_again.error()));
      remove_index();
    });
  });
}

// Of a sealed segment that is cut: with other batches it may come to the same end again. Its name
// goes durably with those of the segments behind it.
void Truncation::remove_index() {
  stage_ = Stage::remove_index;
  disk_.remove(io_, join_path(plan_.directory, index_file_name(last_->base())));
}

void Truncation::remove_later() {
  std::vector<SegmentRef> later;
  for (auto it = plan_.segments.rbegin(); it != plan_.segments.rend() && *it != last_; ++it)
    later.push_back(*it);
  removal_ = std::make_unique<SegmentRemoval>(disk_, pool_, plan_.directory, std::move(later),
                                              false, [this](auto removed) {
                                                if (!removed)
                                                  return call_last(done_, fail(removed.error()));
                                                open();
                                              });
  removal_->start();
}

void Truncation::open() {
  stage_ = Stage::open;
  disk_.open(io_, last_->path, OpenMode::write, Disk::Access::direct);
}

void Truncation::step(IoResult io) {
  switch (stage_) {
    case Stage::remove_index:
      if (!io && io.error().code != Errc::not_found) return call_last(done_, fail(io.error()));
      return remove_later();
    case Stage::open:
      if (!io) return call_last(done_, fail(io.error()));
      return cut(FileId{static_cast<std::int32_t>(*io)});
    case Stage::close: return call_last(done_, std::move(outcome_));
    case Stage::idle: break;
  }
  UNREACHABLE("a truncation completed an I/O it never started");
}

void Truncation::cut(FileId file) {
  tail_cut_.start(file, cut_, [this, file](auto outcome) {
    outcome_ = std::move(outcome);
    stage_ = Stage::close;
    disk_.close(io_, file);
  });
}

}  // namespace millrace
