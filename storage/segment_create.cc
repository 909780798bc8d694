#include "storage/segment_create.h"

#include "storage/base/call_last.h"
#include "storage/base/check.h"
#include "storage/log_files.h"

namespace millrace {

SegmentCreate::SegmentCreate(Disk& disk, SlabPool& slabs, SegmentPool& pool, std::string directory,
                             SegmentHeader header, Take take, Done done)
    : disk_(disk),
      slabs_(slabs),
      pool_(pool),
      directory_(std::move(directory)),
      header_(std::move(header)),
      take_(take),
      done_(std::move(done)),
      io_(this, Completion::to<&SegmentCreate::step, SegmentCreate>()) {}

void SegmentCreate::start() {
  stage_ = Stage::open;
  moving_path_ = join_path(pool_.directory(), pool_.fresh_name());
  auto pooled = take_ == Take::fresh ? std::nullopt : pool_.take();
  if (pooled) {
    prepared_path_ = pooled->path;
    prepared_ = true;
    is_pooled_ = true;
    made_.file_bytes = pooled->bytes;
    return disk_.open(io_, prepared_path_, OpenMode::write, Disk::Access::direct);
  }
  prepared_path_ = moving_path_;
  disk_.open(io_, prepared_path_, OpenMode::create, Disk::Access::direct);
}

void SegmentCreate::step(IoResult io) {
  if (stage_ == Stage::close_failed) return discard();
  if (stage_ == Stage::remove_failed) return call_last(done_, fail(std::move(error_)));
  if (!io) return fail_with(io.error());
  switch (stage_) {
    case Stage::open:
      made_.file = FileId{static_cast<std::int32_t>(*io)};
      prepared_ = true;
      if (!is_pooled_) return write_header();
      // It is free no more, durably, before it is anything else: a crash may lose an empty segment,
      // but never leaves one that the pool would give away again.
      stage_ = Stage::claim;
      return disk_.rename(io_, prepared_path_, moving_path_);
    case Stage::claim:
      prepared_path_ = moving_path_;
      stage_ = Stage::sync_pool_directory;
      return disk_.sync_directory(io_, pool_.directory());
    case Stage::sync_pool_directory: return write_header();
    case Stage::write_header:
      stage_ = Stage::rename;
      return disk_.rename(io_, prepared_path_,
                          join_path(directory_, segment_file_name(header_.base_offset)));
    case Stage::rename:
      prepared_ = false;
      stage_ = Stage::sync_log_directory;
      return disk_.sync_directory(io_, directory_);
    case Stage::sync_log_directory: return call_last(done_, made_);
    case Stage::close_failed:
    case Stage::remove_failed:
    case Stage::idle: break;
  }
  UNREACHABLE("a segment creation completed an I/O it never started");
}

void SegmentCreate::write_header() {
  block_ = slabs_.take(segment_layout::header_bytes);
  if (block_.empty()) return fail_with(Error{Errc::overloaded, "no memory for a segment header"});
  encode_segment_header(header_, {block_.slab()->data(), segment_layout::header_bytes});
  const ByteView bytes = block_.bytes().first(segment_layout::header_bytes);
  stage_ = Stage::write_header;
  disk_.write(io_, made_.file, Position{0}, {&bytes, 1}, WriteSync::yes);
}

void SegmentCreate::fail_with(Error error) {
  error_ = std::move(error);
  if (!made_.file.is_open()) return discard();
  stage_ = Stage::close_failed;
  disk_.close(io_, made_.file);
}

// Attempts on a full disk go on for as long as it is full: none may leave a file that nobody takes.
void SegmentCreate::discard() {
  if (!prepared_) return call_last(done_, fail(std::move(error_)));
  stage_ = Stage::remove_failed;
  disk_.remove(io_, prepared_path_);
}

}  // namespace millrace
