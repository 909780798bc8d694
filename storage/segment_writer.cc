#include "storage/segment_writer.h"

#include "storage/base/check.h"

#include <algorithm>
#include <cstring>

namespace millrace {

namespace {
constexpr std::uint64_t block = batch_layout::commit_alignment;
}

SegmentWriter::SegmentWriter(Disk& disk, TailCache& cache, SegmentHeader header, Resume resume,
                             const LogOptions& options, OnCommit on_commit)
    : disk_(disk),
      cache_(cache),
      header_(std::move(header)),
      segment_bytes_(options.segment_bytes),
      preallocate_bytes_max_(options.preallocate_bytes_max),
      on_commit_(std::move(on_commit)),
      write_(this, Completion::to<&SegmentWriter::on_written, SegmentWriter>()),
      preallocate_(this, Completion::to<&SegmentWriter::on_preallocated, SegmentWriter>()),
      file_bytes_(resume.file_bytes),
      preallocate_bytes_(options.preallocate_bytes_min),
      staged_position_(resume.position),
      commit_position_(resume.position),
      written_position_(resume.position),
      durable_position_(resume.position),
      staged_end_(resume.end),
      durable_end_(resume.end),
      last_crc_(resume.last_crc),
      durable_crc_(resume.last_crc) {
  CHECK(resume.position.value % block == 0, "a commit begins on a block");
  cache_.end_segment();
}

void SegmentWriter::attach(FileId file, std::uint64_t file_bytes) {
  CHECK(!attached(), "a segment has one file");
  file_ = file;
  file_bytes_ = std::max(file_bytes_, file_bytes);
  // A file that is there before its first batch may stay empty for long.
  if (staged_end_ > header_.base_offset) preallocate_ahead();
}

bool SegmentWriter::has_room(std::size_t bytes) const {
  if (staged_position_ == segment_layout::first_batch_position)
    return true;  // even one that is larger than a segment
  return align_up(staged_position_.value, block) + align_up(bytes, block) <= segment_bytes_;
}

Result<BatchHeader> SegmentWriter::stage(const BatchView& batch, LeaderEpoch epoch,
                                         WallTime append_time) {
  CHECK(!failed_, "a failed segment takes no batches");
  const std::size_t bytes = batch.header().padded_bytes();
  // A commit that has grown to its limit is closed; the next batch begins another.
  if (staged_position_ > commit_position_ &&
      staged_position_ - commit_position_ + bytes > batch_layout::commit_bytes_max) {
    pad_to_commit();
    marks_.push_back({staged_position_, staged_end_, last_crc_});
    commit_position_ = staged_position_;
  }
  if (!cache_.fits(staged_position_, bytes)) {
    pad_to_commit();
    if (!cache_.begin_block(staged_position_, align_up(bytes, block)))
      return fail(Errc::overloaded, "no memory to stage a batch");
  }
  const MutableBytes room = cache_.room(staged_position_, bytes);
  std::memcpy(room.data(), batch.bytes().data(), batch.bytes().size());
  std::fill(room.begin() + static_cast<std::ptrdiff_t>(batch.bytes().size()), room.end(),
            std::byte{0});
  const BatchHeader stamped =
      stamp_batch(room, batch.header(),
                  {staged_end_, epoch, append_time, header_.segment_id,
                   static_cast<std::uint32_t>(staged_position_.value), last_crc_,
                   static_cast<std::uint32_t>(commit_position_.value)});
  cache_.note(stamped, staged_position_);
  staged_position_ = staged_position_ + bytes;
  staged_end_ = stamped.end_offset();
  last_crc_ = stamped.header_crc;
  return stamped;
}

// Zeros up to the next block: the tail of a commit, or of a cache block that is left for a larger
// one.
void SegmentWriter::pad_to_commit() {
  const Position end{align_up(staged_position_.value, block)};
  if (end == staged_position_) return;
  const MutableBytes padding = cache_.room(staged_position_, end - staged_position_);
  std::fill(padding.begin(), padding.end(), std::byte{0});
  staged_position_ = end;
}

void SegmentWriter::finish() {
  pad_to_commit();
  if (staged_position_ == commit_position_) return;
  marks_.push_back({staged_position_, staged_end_, last_crc_});
  commit_position_ = staged_position_;
}

void SegmentWriter::flush() {
  if (failed_ || !attached() || write_.in_flight() || all_durable()) return;
  if (!marks_.empty()) {
    in_flight_ = marks_.front();
    marks_.erase(marks_.begin());
  } else {
    pad_to_commit();
    in_flight_ = {staged_position_, staged_end_, last_crc_};
    commit_position_ = staged_position_;
  }
  const std::vector<Buffer> pieces =
      cache_.pieces(durable_end_, durable_position_, in_flight_.position);
  std::vector<ByteView> slices;
  slices.reserve(pieces.size());
  for (const Buffer& piece : pieces) slices.push_back(piece.bytes());
  // The cache keeps what is not durable, so the bytes stay until the write has ended.
  disk_.write(write_, file_, durable_position_, slices, WriteSync::yes);
  preallocate_ahead();
}

void SegmentWriter::on_written(IoResult result) {
  if (!result) {
    failed_ = true;
    return tell(fail(result.error()));
  }
  CHECK(*result == in_flight_.position - durable_position_, "a disk writes all or fails");
  durable_position_ = in_flight_.position;
  durable_end_ = in_flight_.end;
  durable_crc_ = in_flight_.crc;
  file_bytes_ = std::max(file_bytes_, durable_position_.value);
  tell({});
}

// Blocks ahead of the writer, in growing steps, so that a topic of three events costs little and a
// busy one seldom waits.
void SegmentWriter::preallocate_ahead() {
  if (failed_ || !attached() || preallocate_.in_flight() || file_bytes_ >= segment_bytes_) return;
  if (staged_position_.value + preallocate_bytes_ / 2 < file_bytes_) return;
  const std::uint64_t end =
      std::min(file_bytes_ + preallocate_bytes_, align_up(segment_bytes_, block));
  if (end <= file_bytes_) return;
  preallocate_bytes_ = std::min(preallocate_bytes_ * 2, preallocate_bytes_max_);
  disk_.preallocate(preallocate_, file_, Position{file_bytes_}, end - file_bytes_);
  file_bytes_ = end;
}

void SegmentWriter::on_preallocated(IoResult result) {
  // Only a favour to later writes, which meet the same trouble themselves and report it.
  if (!result) file_bytes_ = durable_position_.value;
  tell({});
}

// The last act of a completion: the log may retire this writer from inside the call.
void SegmentWriter::tell(Result<void> outcome) {
  const OnCommit on_commit = on_commit_;
  on_commit(std::move(outcome));
}

}  // namespace millrace
