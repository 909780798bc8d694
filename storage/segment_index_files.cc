#include "storage/segment_index_files.h"

#include "storage/base/call_last.h"
#include "storage/base/check.h"
#include "storage/base/diag.h"
#include "storage/log_files.h"

#include <cstring>
#include <utility>

namespace millrace {

IndexWrite::IndexWrite(Disk& disk, SlabPool& slabs, SegmentPool& pool, std::string path,
                       const IndexFile& index, std::function<void()> done)
    : disk_(disk),
      path_(std::move(path)),
      prepared_path_(join_path(pool.directory(), pool.fresh_name() + ".index")),
      done_(std::move(done)),
      io_(this, Completion::to<&IndexWrite::step, IndexWrite>()) {
  const std::vector<std::byte> bytes = encode_index(index);
  bytes_ = align_up(bytes.size(), Disk::direct_alignment);
  slab_ = slabs.take(bytes_);
  if (slab_.empty()) return;
  std::memcpy(slab_.slab()->data(), bytes.data(), bytes.size());
  std::memset(slab_.slab()->data() + bytes.size(), 0, bytes_ - bytes.size());
}

void IndexWrite::start() {
  if (slab_.empty()) return call_last(done_);
  stage_ = Stage::create;
  disk_.open(io_, prepared_path_, OpenMode::create, Disk::Access::direct);
}

void IndexWrite::step(IoResult io) {
  switch (stage_) {
    case Stage::create: {
      if (!io) return call_last(done_);
      file_ = FileId{static_cast<std::int32_t>(*io)};
      stage_ = Stage::write;
      const ByteView bytes = slab_.bytes().first(bytes_);
      return disk_.write(io_, file_, Position{0}, {&bytes, 1}, WriteSync::no);
    }
    case Stage::write:
      if (!io) bytes_ = 0;  // not whole: the name goes again
      stage_ = Stage::close;
      return disk_.close(io_, file_);
    case Stage::close:
      if (bytes_ == 0) return discard();
      stage_ = Stage::rename;
      return disk_.rename(io_, prepared_path_, path_);
    case Stage::rename:
      if (io) return call_last(done_);
      return discard();
    case Stage::remove: return call_last(done_);
    case Stage::idle: break;
  }
  UNREACHABLE("an index write completed an I/O it never started");
}

void IndexWrite::discard() {
  stage_ = Stage::remove;
  disk_.remove(io_, prepared_path_);
}

IndexLoad::IndexLoad(Disk& disk, SlabPool& slabs, SegmentRef segment, std::string index_path,
                     std::uint32_t interval_bytes, Done done)
    : disk_(disk),
      slabs_(slabs),
      segment_(std::move(segment)),
      index_path_(std::move(index_path)),
      interval_bytes_(interval_bytes),
      done_(std::move(done)),
      io_(this, Completion::to<&IndexLoad::step, IndexLoad>()) {}

void IndexLoad::start() {
  if (segment_->index_loading) return segment_->index_waiters.push_back(this);
  segment_->index_loading = true;
  was_active_ = segment_->active;
  if (was_active_) return rebuild();  // an active segment has no index file
  stage_ = Stage::open;
  disk_.open(io_, index_path_, OpenMode::read, Disk::Access::direct);
}

void IndexLoad::step(IoResult io) {
  switch (stage_) {
    case Stage::open:
      if (!io) return rebuild();
      file_ = FileId{static_cast<std::int32_t>(*io)};
      stage_ = Stage::size;
      return disk_.file_size(io_, file_);
    case Stage::size: {
      const std::size_t limit =
          index_layout::header_bytes +
          std::size_t{index_layout::entries_limit} * index_layout::entry_bytes;
      if (io && *io > 0 && *io <= align_up(limit, Disk::direct_alignment))
        slab_ = slabs_.take(align_up(*io, Disk::direct_alignment));
      if (!slab_.empty()) {
        stage_ = Stage::read;
        return disk_.read(io_, file_, Position{0}, {slab_.slab()->data(), slab_.size()});
      }
      stage_ = Stage::close;
      return disk_.close(io_, file_);
    }
    case Stage::read:
      taken_ = io && take(slab_.bytes().first(*io));
      stage_ = Stage::close;
      return disk_.close(io_, file_);
    case Stage::close:
      slab_ = {};
      if (!taken_) return rebuild();
      return end(std::vector<SegmentScan::Damage>{});
    case Stage::idle: break;
  }
  UNREACHABLE("an index load completed an I/O it never started");
}

// A valid index of another segment, or of an earlier state of this one, is no index of this
// segment.
bool IndexLoad::take(ByteView bytes) {
  auto index = decode_index(bytes);
  if (!index || index->segment_id != segment_->header.segment_id ||
      index->base_offset != segment_->base() || index->end_offset != segment_->end_offset)
    return false;
  segment_->index.assign(std::move(index->entries));
  segment_->end_position = index->end_position;
  segment_->index_whole = true;
  return true;
}

void IndexLoad::rebuild() {
  if (!was_active_)
    diag::info("log", "{}: no usable index, rebuilding it from the segment", index_path_);
  auto index = std::make_shared<SegmentIndex>();
  SegmentScan::Plan plan;
  plan.path = segment_->path;
  plan.segment_id = segment_->header.segment_id;
  plan.from = segment_layout::first_batch_position;
  plan.next_offset = segment_->base();
  plan.previous_crc = segment_->header.previous_crc;
  plan.end_offset = segment_->end_offset;
  const auto note = [index, interval = interval_bytes_](const BatchHeader& header, Position at) {
    index->note(header, at, interval);
    return true;
  };
  scan_ = std::make_unique<SegmentScan>(
      disk_, slabs_, std::move(plan), note, [this, index](auto found) {
        if (!found) return end(fail(found.error()));
        if (was_active_) {
          // Appends went on meanwhile, and may have sealed it: what the scan saw comes first, what
          // they noted stays, and where it ends they know.
          std::vector<IndexEntry> merged = index->entries();
          for (const IndexEntry& entry : segment_->index.entries())
            if (merged.empty() || entry.offset > merged.back().offset) merged.push_back(entry);
          segment_->index.assign(std::move(merged));
        } else {
          segment_->index.assign(index->entries());
          // Behind damage the last batch is not where the segment ends.
          if (found->damage.empty())
            segment_->end_position =
                Position{align_up(found->end_position.value, batch_layout::commit_alignment)};
        }
        segment_->index_whole = true;
        end(std::move(found->damage));
      });
  scan_->start();
}

// This load is gone when its answer has been given; those who wait stay until theirs.
void IndexLoad::end(Result<std::vector<SegmentScan::Damage>> outcome) {
  segment_->index_loading = false;
  const auto waiters = std::exchange(segment_->index_waiters, {});
  Result<std::vector<SegmentScan::Damage>> same = std::vector<SegmentScan::Damage>{};
  if (!outcome) same = fail(outcome.error());
  call_last(done_, std::move(outcome));
  for (IndexLoad* waiter : waiters) call_last(waiter->done_, same);
}

}  // namespace millrace
