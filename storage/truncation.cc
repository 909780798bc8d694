#include "storage/truncation.h"

#include "storage/base/call_last.h"
#include "storage/base/check.h"
#include "storage/log_files.h"

#include <fmt/core.h>

#include <cstring>

namespace millrace {

namespace {
constexpr std::uint64_t block = Disk::direct_alignment;
}

Truncation::Truncation(Disk& disk, SlabPool& slabs, SegmentPool& pool, std::string directory,
                       std::vector<SegmentRef> segments, Offset end, Done done)
    : disk_(disk),
      slabs_(slabs),
      pool_(pool),
      directory_(std::move(directory)),
      segments_(std::move(segments)),
      end_(end),
      done_(std::move(done)),
      io_(this, Completion::to<&Truncation::step, Truncation>()) {}

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
                                                cut();
                                              });
  removal_->start();
}

void Truncation::cut() {
  stage_ = Stage::open;
  disk_.open(io_, last_->path, OpenMode::write, Disk::Access::direct);
}

void Truncation::step(IoResult io) {
  const auto give_up = [&] {
    outcome_ = fail(io.error());
    stage_ = Stage::close;
    disk_.close(io_, file_);
  };
  switch (stage_) {
    case Stage::remove_index:
      if (!io && io.error().code != Errc::not_found) return call_last(done_, fail(io.error()));
      return remove_later();
    case Stage::open:
      if (!io) return call_last(done_, fail(io.error()));
      file_ = FileId{static_cast<std::int32_t>(*io)};
      slab_ = slabs_.take(block);
      stage_ = Stage::read;
      return disk_.read(io_, file_, Position{align_down(cut_.value, block)},
                        {slab_.slab()->data(), block});
    case Stage::read: {
      if (!io) return give_up();
      if (cut_.value % block == 0) {
        stage_ = Stage::set_length;
        return disk_.set_length(io_, file_, cut_.value);
      }
      std::memset(slab_.slab()->data() + cut_.value % block, 0, block - cut_.value % block);
      stage_ = Stage::write;
      const ByteView bytes = slab_.bytes().first(block);
      return disk_.write(io_, file_, Position{align_down(cut_.value, block)}, {&bytes, 1},
                         WriteSync::yes);
    }
    case Stage::write:
      if (!io) return give_up();
      stage_ = Stage::set_length;
      return disk_.set_length(io_, file_, align_up(cut_.value, block));
    case Stage::set_length:
      if (!io) return give_up();
      stage_ = Stage::sync;
      return disk_.sync_data(io_, file_);
    case Stage::sync:
      if (!io) return give_up();
      stage_ = Stage::close;
      return disk_.close(io_, file_);
    case Stage::close: return call_last(done_, std::move(outcome_));
    case Stage::idle: break;
  }
  UNREACHABLE("a truncation completed an I/O it never started");
}

}  // namespace millrace
