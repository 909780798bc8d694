#include "storage/segment_headers.h"

#include "storage/base/call_last.h"
#include "storage/base/check.h"
#include "storage/base/diag.h"
#include "storage/log_files.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

namespace millrace {

SegmentHeaders::SegmentHeaders(Disk& disk, SlabPool& slabs, const LogIdentity& identity,
                               std::vector<Offset> bases, Done done)
    : disk_(disk),
      slabs_(slabs),
      identity_(identity),
      bases_(std::move(bases)),
      done_(std::move(done)),
      io_(this, Completion::to<&SegmentHeaders::step, SegmentHeaders>()) {}

void SegmentHeaders::next() {
  if (at_ == bases_.size()) return call_last(done_, std::move(found_));
  segment_ = std::make_shared<Segment>();
  segment_->header.base_offset = bases_[at_++];
  segment_->path = join_path(identity_.directory, segment_file_name(segment_->base()));
  stage_ = Stage::open;
  disk_.open(io_, segment_->path, OpenMode::read, Disk::Access::direct);
}

void SegmentHeaders::step(IoResult io) {
  if (stage_ == Stage::close_failed) return call_last(done_, fail(std::move(error_)));
  stage_ < Stage::make_quarantine ? step_read(std::move(io)) : step_aside(std::move(io));
}

void SegmentHeaders::step_read(IoResult io) {
  if (!io && stage_ != Stage::close) return give_up(io.error());
  switch (stage_) {
    case Stage::open:
      file_ = FileId{static_cast<std::int32_t>(*io)};
      stage_ = Stage::size;
      return disk_.file_size(io_, file_);
    case Stage::size:
      segment_->end_position = Position{*io};
      slab_ = slabs_.take(segment_layout::header_bytes);
      if (slab_.empty()) return give_up({Errc::overloaded, "no memory to recover a log"});
      stage_ = Stage::read;
      return disk_.read(io_, file_, Position{0},
                        {slab_.slab()->data(), segment_layout::header_bytes});
    case Stage::read:
      take(*io);
      stage_ = Stage::close;
      return disk_.close(io_, std::exchange(file_, {}));
    case Stage::close:
      if (!foreign_.empty()) return move_aside();
      found_.segments.push_back(std::move(segment_));
      return next();
    default: break;
  }
  UNREACHABLE("a look at headers completed an I/O it never started");
}

void SegmentHeaders::take(std::size_t bytes) {
  foreign_.clear();
  auto header = decode_segment_header(slab_.bytes().first(bytes));
  if (!header) {
    segment_->readable = false;
    diag::error("log", "{}: {}; the segment is fenced", segment_->path, header.error().text);
  } else if (header->cluster_id != identity_.cluster_id || header->topic_id != identity_.topic_id ||
             header->partition != identity_.partition) {
    foreign_ = fmt::format("it belongs to topic {} ({}) partition {} of data directory {}",
                           header->topic_name, header->topic_id.to_hex(), header->partition,
                           header->cluster_id.to_hex());
  } else if (header->base_offset != segment_->base()) {
    foreign_ = fmt::format("inside it begins at offset {}", header->base_offset.value);
  } else {
    segment_->header = std::move(*header);
  }
}

void SegmentHeaders::move_aside() {
  diag::error("log", "{}: {}; it goes to {}/", segment_->path, foreign_, quarantine_directory);
  stage_ = Stage::make_quarantine;
  disk_.make_directory(io_, quarantine_directory);
}

void SegmentHeaders::step_aside(IoResult io) {
  switch (stage_) {
    case Stage::make_quarantine:  // usually there; else the list fails
      stage_ = Stage::sync_root;
      return disk_.sync_directory(io_, ".");
    case Stage::sync_root:
      if (!io) return give_up(io.error());
      stage_ = Stage::list_quarantine;
      return disk_.list(io_, quarantine_directory, quarantined_);
    case Stage::list_quarantine:
      if (!io) return leave_in_place(io.error());
      stage_ = Stage::move_aside;
      // Nobody else takes the name meanwhile: it tells this log's topic and partition.
      return disk_.rename(
          io_, segment_->path,
          free_quarantine_path(identity_.topic_id, identity_.partition,
                               segment_file_name(segment_->base()), [&](const std::string& path) {
                                 return std::any_of(
                                     quarantined_.begin(), quarantined_.end(), [&](const auto& e) {
                                       return join_path(quarantine_directory, e.name) == path;
                                     });
                               }));
    case Stage::move_aside:
      if (!io) return leave_in_place(io.error());
      // The new name first: without either the file would be gone.
      stage_ = Stage::sync_quarantine;
      return disk_.sync_directory(io_, quarantine_directory);
    case Stage::sync_quarantine:
      if (!io) return give_up(io.error());
      stage_ = Stage::sync_directory;
      return disk_.sync_directory(io_, identity_.directory);
    case Stage::sync_directory: return next();
    default: break;
  }
  UNREACHABLE("a look at headers completed an I/O it never started");
}

void SegmentHeaders::leave_in_place(const Error& error) {
  found_.left_in_place.push_back(
      fmt::format("{} cannot be set aside: {}", segment_->path, error.text));
  next();
}

void SegmentHeaders::give_up(Error error) {
  if (!file_.is_open()) return call_last(done_, fail(std::move(error)));
  error_ = std::move(error);
  stage_ = Stage::close_failed;
  disk_.close(io_, file_);
}

}  // namespace millrace
