#include "storage/truncation.h"

#include "storage/base/call_last.h"
#include "storage/base/check.h"
#include "storage/log_files.h"

#include <fmt/core.h>

namespace millrace {

Truncation::Truncation(Disk& disk, SlabPool& slabs, SegmentPool& pool, std::string directory,
                       std::vector<SegmentRef> segments, Offset end, Done done)
    : disk_(disk),
      slabs_(slabs),
      pool_(pool),
      directory_(std::move(directory)),
      segments_(std::move(segments)),
      end_(end),
      done_(std::move(done)),
      io_(this, Completion::to<&Truncation::step, Truncation>()),
      tail_cut_(disk, slabs) {}

// The place of the cut is found before anything is removed: a wrong `end` changes nothing.
void Truncation::start() {
  for (const SegmentRef& segment : segments_)
    if (segment->base() <= end_) last_ = segment;
  if (!last_)
    return call_last(done_, fail(Errc::bad_request, "truncation below the start of the log"));
  SegmentScan::Plan plan;
  plan.path = last_->path;
  plan.segment_id = last_->header.segment_id;
  plan.from = segment_layout::first_batch_position;
  plan.next_offset = last_->base();
  plan.previous_crc = last_->header.previous_crc;
  plan.end_offset = end_;
  scan_ = std::make_unique<SegmentScan>(
      disk_, slabs_, std::move(plan), [](const BatchHeader&, Position) { return true; },
      [this](auto found) {
        if (!found) return call_last(done_, fail(found.error()));
        if (found->end_offset != end_)
          return call_last(done_, fail(Errc::bad_request,
                                       fmt::format("offset {} lies inside a batch that ends at {}",
                                                   end_.value, found->end_offset.value)));
        cut_ = found->end_position;
        remove_index();
      });
  scan_->start();
}

// Of a sealed segment that is cut: with other batches it may come to the same end again. Its name
// goes durably with those of the segments behind it.
void Truncation::remove_index() {
  stage_ = Stage::remove_index;
  disk_.remove(io_, join_path(directory_, index_file_name(last_->base())));
}

void Truncation::remove_later() {
  std::vector<SegmentRef> later;
  for (auto it = segments_.rbegin(); it != segments_.rend() && *it != last_; ++it)
    later.push_back(*it);
  removal_ = std::make_unique<SegmentRemoval>(disk_, pool_, directory_, std::move(later), false,
                                              [this](auto removed) {
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
