#include "storage/recovery.h"

#include "storage/base/call_last.h"
#include "storage/base/check.h"
#include "storage/base/diag.h"
#include "storage/log_files.h"
#include "storage/retention.h"

#include <fmt/core.h>

#include <algorithm>

namespace millrace {

namespace {
constexpr std::uint64_t block = Disk::direct_alignment;

std::string_view parent_path(std::string_view path) {
  const auto slash = path.rfind('/');
  return slash == std::string_view::npos ? "." : path.substr(0, slash);
}
}  // namespace

Recovery::Recovery(LogEnvironment environment, const LogIdentity& identity,
                   const LogOptions& options, CheckpointFile& checkpoint, Done done)
    : environment_(environment),
      identity_(identity),
      options_(options),
      checkpoint_file_(checkpoint),
      done_(std::move(done)),
      io_(this, Completion::to<&Recovery::step, Recovery>()),
      tail_cut_(environment.disk, environment.slabs) {}

std::string Recovery::path_of(std::string_view name) const {
  return join_path(identity_.directory, name);
}

void Recovery::start() {
  stage_ = Stage::make_directory;
  environment_.disk.make_directory(io_, identity_.directory);
}

void Recovery::step(IoResult io) {
  Disk& disk = environment_.disk;
  switch (stage_) {
    case Stage::make_directory:
      if (!io && io.error().code != Errc::already_exists) return finish(fail(io.error()));
      stage_ = Stage::list;
      return disk.list(io_, identity_.directory, entries_);
    case Stage::list:
      if (!io) return finish(fail(io.error()));
      // A log without a segment may be one whose directory was made a moment ago: its name must be
      // durable before anything in it is acked.
      if (std::none_of(entries_.begin(), entries_.end(), [](const DirectoryEntry& entry) {
            return parse_segment_file_name(entry.name).has_value();
          })) {
        stage_ = Stage::sync_parent;
        return disk.sync_directory(io_, parent_path(identity_.directory));
      }
      return on_listed();
    case Stage::sync_parent:
      if (!io) return finish(fail(io.error()));
      return on_listed();
    case Stage::sync_names:
      if (!io) return finish(fail(io.error()));
      return next_header();
    case Stage::open_header:
      // A file that cannot be opened now may be whole: nothing is decided about it.
      if (!io) return finish(fail(io.error()));
      file_ = FileId{static_cast<std::int32_t>(*io)};
      stage_ = Stage::header_size;
      return disk.file_size(io_, file_);
    case Stage::header_size:
      if (!io) return finish(fail(io.error()));
      segment_->end_position = Position{*io};
      slab_ = environment_.slabs.take(segment_layout::header_bytes);
      if (slab_.empty()) return finish(fail(Errc::overloaded, "no memory to recover a log"));
      stage_ = Stage::read_header;
      return disk.read(io_, file_, Position{0},
                       {slab_.slab()->data(), segment_layout::header_bytes});
    case Stage::read_header:
      if (!io) return finish(fail(io.error()));
      take_header(*io);
      stage_ = Stage::close_header;
      return disk.close(io_, file_);
    case Stage::close_header:
      if (!set_aside_reason_.empty()) return set_aside(std::move(set_aside_reason_));
      log_.segments.push_back(std::move(segment_));
      return next_header();
    case Stage::make_quarantine:
      stage_ = Stage::sync_root;
      return disk.sync_directory(io_, parent_path(quarantine_directory));
    case Stage::sync_root:
      if (!io) return finish(fail(io.error()));
      stage_ = Stage::move_aside;
      return disk.rename(
          io_, segment_->path,
          // With the id of the file's own header: nothing that lies there already is replaced.
          fmt::format("{}/{}-{}-{:016x}-{}", quarantine_directory, identity_.topic_id.to_hex(),
                      identity_.partition, foreign_id_, segment_file_name(bases_[at_base_ - 1])));
    case Stage::move_aside:
      if (!io) {
        refuse(fmt::format("{} cannot be set aside: {}", segment_->path, io.error().text));
        return next_header();
      }
      // The new name first: without either the file would be gone.
      stage_ = Stage::sync_quarantine;
      return disk.sync_directory(io_, quarantine_directory);
    case Stage::sync_quarantine:
      if (!io) return finish(fail(io.error()));
      stage_ = Stage::sync_aside;
      return disk.sync_directory(io_, identity_.directory);
    case Stage::sync_aside: return next_header();
    case Stage::open_active:
      if (!io) return finish(fail(io.error()));
      recovered_.active_file = FileId{static_cast<std::int32_t>(*io)};
      if (nothing_new_since_close() && log_.durable_end == checkpoint_->durable_end &&
          !last_found_.tail_is_dirty)
        return finish({});
      // What was read may be in a cache only, when it was the process that died. It is durable
      // before anybody is told of it, and before anything is written because of it.
      stage_ = Stage::sync_active;
      return disk.sync_data(io_, recovered_.active_file);
    case Stage::sync_active:
      if (!io) return finish(fail(io.error()));
      if (!last_found_.tail_is_dirty) return finish({});
      diag::warn(
          "log",
          "{}: torn tail cut: {} bytes behind position {} (offset {}) do not continue the log",
          log_.segments.back()->path, last_found_.file_end - tail_, tail_.value,
          log_.durable_end.value);
      return cut_tail();
    case Stage::close_failed: return call_last(done_, fail(std::move(error_)));
    case Stage::idle: break;
  }
  UNREACHABLE("a recovery completed an I/O it never started");
}

void Recovery::on_listed() {
  for (const DirectoryEntry& entry : entries_) {
    const auto base = parse_segment_file_name(entry.name);
    if (base && entry.kind == DirectoryEntry::Kind::file) {
      bases_.push_back(*base);
    } else if (!parse_index_file_name(entry.name) && entry.name != checkpoint_file_name) {
      diag::warn("log", "{}: not a file of this log, ignored", path_of(entry.name));
    }
  }
  std::sort(bases_.begin(), bases_.end());
  checkpoint_file_.load(identity_.topic_id, identity_.partition, [this](auto loaded) {
    if (!loaded) return finish(fail(loaded.error()));
    checkpoint_ = std::move(*loaded);
    // A killed process may have left names that a loss of power would take back, after they were
    // relied on; so may one that was closed while the disk refused, and its checkpoint's name is
    // one of them.
    stage_ = Stage::sync_names;
    environment_.disk.sync_directory(io_, identity_.directory);
  });
}

// A clean checkpoint stays the newest until the next one is written: only without a newer segment
// is it about the files that are there.
bool Recovery::nothing_new_since_close() const {
  return checkpoint_ && checkpoint_->clean && !bases_.empty() && checkpoint_->segment_id != 0 &&
         bases_.back() == checkpoint_->segment_base;
}

void Recovery::next_header() {
  if (at_base_ == bases_.size()) return on_headers();
  segment_ = std::make_shared<Segment>();
  segment_->header.base_offset = bases_[at_base_++];
  segment_->path = path_of(segment_file_name(segment_->base()));
  stage_ = Stage::open_header;
  environment_.disk.open(io_, segment_->path, OpenMode::read, Disk::Access::direct);
}

// A header that does not verify may stand before good data: the segment stays, fenced. A header
// that verifies and names another log or place is somebody else's file under our name: it is moved
// out of the way.
void Recovery::take_header(std::size_t bytes) {
  set_aside_reason_.clear();
  const Offset base = segment_->base();
  auto header = decode_segment_header(slab_.bytes().first(bytes));
  if (!header) {
    segment_->readable = false;
    diag::error("log", "{}: {}; the segment is fenced", segment_->path, header.error().text);
    return;
  }
  foreign_id_ = header->segment_id;
  if (header->cluster_id != identity_.cluster_id || header->topic_id != identity_.topic_id ||
      header->partition != identity_.partition) {
    set_aside_reason_ = fmt::format("it belongs to topic {} ({}) partition {} of data directory {}",
                                    header->topic_name, header->topic_id.to_hex(),
                                    header->partition, header->cluster_id.to_hex());
  } else if (header->base_offset != base) {
    set_aside_reason_ = fmt::format("inside it begins at offset {}", header->base_offset.value);
  } else {
    segment_->header = std::move(*header);
  }
}

void Recovery::set_aside(std::string reason) {
  diag::error("log", "{}: {}; moved to {}/", segment_->path, reason, quarantine_directory);
  stage_ = Stage::make_quarantine;
  environment_.disk.make_directory(io_, quarantine_directory);
}

void Recovery::on_headers() {
  auto& segments = log_.segments;
  for (std::size_t i = 0; i + 1 < segments.size(); ++i) {
    segments[i]->end_offset = segments[i + 1]->base();
    segments[i]->sealed_at = segments[i + 1]->header.created;
  }
  if (checkpoint_) {
    log_.start_offset = checkpoint_->start_offset;
    log_.durable_end = checkpoint_->durable_end;
    log_.last_append_time = checkpoint_->last_append_time;
    log_.last_crc = checkpoint_->last_crc;
    log_.producers.restore(checkpoint_->producers);
  } else if (!segments.empty()) {
    log_.start_offset = segments.front()->base();
  }
  drop_leftovers();
}

// Segments below the start that is known to be durable: their removal was cut short.
void Recovery::drop_leftovers() {
  const std::vector<SegmentRef> all(log_.segments.begin(), log_.segments.end());
  std::size_t count = segments_below(all, log_.start_offset);
  count = std::min(count, all.empty() ? 0 : all.size() - 1);
  if (count == 0) {
    find_holes();
    return plan_scans();
  }
  log_.segments.erase(log_.segments.begin(),
                      log_.segments.begin() + static_cast<std::ptrdiff_t>(count));
  // The other slot of the checkpoint must not miss them, should this one be lost.
  checkpoint_file_.write(*checkpoint_, [this, all, count](auto written) {
    if (!written) {
      diag::warn("log", "{}: segments below the start stay until the next start: {}",
                 identity_.directory, written.error().text);
      find_holes();
      return plan_scans();
    }
    removal_ = std::make_unique<SegmentRemoval>(
        environment_.disk, environment_.segment_pool, identity_.directory,
        std::vector<SegmentRef>(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(count)),
        false, [this](auto removed) {
          if (!removed) return finish(fail(removed.error()));
          find_holes();
          plan_scans();
        });
    removal_->start();
  });
}

void Recovery::refuse(std::string reason) {
  diag::error("log", "{}: no appends until repaired: {}", identity_.directory, reason);
  if (log_.refusal.empty())
    log_.refusal = reason + "; put it back, or stop the broker and see millrace log repair";
}

// Every segment names the one before it, so a missing file shows.
void Recovery::find_holes() {
  auto& segments = log_.segments;
  const auto missing = [&](Offset begin, Offset end, const std::string& what) {
    refuse(what);
    if (begin < end) log_.corrupt.add({{begin, end}, identity_.directory, {}, what});
  };
  if (segments.empty()) {
    if (checkpoint_ && checkpoint_->segment_id != 0 &&
        checkpoint_->start_offset < checkpoint_->durable_end)
      missing(checkpoint_->start_offset, checkpoint_->durable_end,
              fmt::format("all segments are missing: offsets [{}, {}) were here",
                          checkpoint_->start_offset.value, checkpoint_->durable_end.value));
    return;
  }
  if (checkpoint_ && log_.start_offset < segments.front()->base())
    missing(log_.start_offset, segments.front()->base(),
            fmt::format("the first segments are missing: offsets [{}, {})", log_.start_offset.value,
                        segments.front()->base().value));
  for (std::size_t i = 0; i + 1 < segments.size(); ++i) {
    const Segment& before = *segments[i];
    const Segment& after = *segments[i + 1];
    if (!before.readable) {
      log_.corrupt.add({{before.base(), after.base()},
                        before.path,
                        Position{0},
                        "segment header does not verify"});
      continue;
    }
    if (!after.readable || after.header.previous_segment_id == before.header.segment_id) continue;
    // The scan of `before` finds where it really ends; until then the successor's word has to do.
    const Offset begin = std::max(before.base(), after.header.previous_base_offset);
    segments[i]->end_offset = begin;
    missing(begin, after.base(),
            fmt::format("a segment is missing between {} and {}: offsets [{}, {})", before.path,
                        after.path, begin.value, after.base().value));
  }
  const Segment& last = *segments.back();
  if (!last.readable) {
    const Offset end = std::max(last.base() + 1, log_.durable_end);
    log_.corrupt.add(
        {{last.base(), end}, last.path, Position{0}, "segment header does not verify"});
    refuse(fmt::format("{}: the header of the newest segment does not verify", last.path));
  }
  if (checkpoint_ && checkpoint_->segment_base > last.base() && checkpoint_->segment_id != 0)
    missing(checkpoint_->segment_base, checkpoint_->durable_end,
            fmt::format("the newest segment (offset {} on) is missing",
                        checkpoint_->segment_base.value));
}

// From the segment that the checkpoint names, for its producers' sake. One that names none was
// written before there was one, or by a truncation: then from the segment that holds its end.
// Without a checkpoint, which is a young log or two damaged slots, everything.
void Recovery::plan_scans() {
  const auto& segments = log_.segments;
  at_scan_ = 0;
  for (std::size_t i = 0; checkpoint_ && i < segments.size(); ++i) {
    const Segment& segment = *segments[i];
    if (segment.base() <= checkpoint_->durable_end) at_scan_ = i;
    if (!segment.readable || segment.header.segment_id != checkpoint_->segment_id) continue;
    at_scan_ = i;
    break;
  }
  next_scan();
}

void Recovery::next_scan() {
  auto& segments = log_.segments;
  while (at_scan_ < segments.size() && !segments[at_scan_]->readable) ++at_scan_;
  if (at_scan_ >= segments.size()) return on_scans_done();
  const SegmentRef segment = segments[at_scan_];
  SegmentScan::Plan plan;
  plan.path = segment->path;
  plan.segment_id = segment->header.segment_id;
  plan.from = segment_layout::first_batch_position;
  plan.next_offset = segment->base();
  plan.previous_crc = segment->header.previous_crc;
  plan.commit_bytes_max =
      std::max<std::uint64_t>(SegmentWriter::commit_bytes_max, options_.batch_bytes_max);
  const bool last = at_scan_ + 1 == segments.size();
  if (!last) plan.end_offset = segment->end_offset;
  const bool known = checkpoint_ && checkpoint_->segment_id == plan.segment_id &&
                     checkpoint_->scan_position >= plan.from &&
                     checkpoint_->scan_position <= segment->end_position &&
                     checkpoint_->scan_position.value % block == 0 &&
                     checkpoint_->durable_end >= plan.next_offset;
  if (known) {
    plan.from = checkpoint_->scan_position;
    plan.next_offset = checkpoint_->durable_end;
    plan.previous_crc = checkpoint_->last_crc;
  }
  segment->index_whole = plan.from == segment_layout::first_batch_position;
  segment->active = last;
  const auto visit = [this, segment](const BatchHeader& header, Position at) {
    segment->index.note(header, at, options_.index_interval_bytes);
    if (!checkpoint_ || header.base_offset >= checkpoint_->durable_end) log_.producers.note(header);
    log_.last_append_time = std::max(log_.last_append_time, header.append_time);
    return true;
  };
  scan_ = std::make_unique<SegmentScan>(environment_.disk, environment_.slabs, std::move(plan),
                                        visit, [this](auto found) {
                                          if (!found) return finish(fail(found.error()));
                                          on_scanned(std::move(*found));
                                        });
  scan_->start();
}

void Recovery::on_scanned(SegmentScan::Found found) {
  const SegmentRef segment = log_.segments[at_scan_];
  log_.corrupt.note_damage(*segment, found.damage, Offset{0});
  if (at_scan_ + 1 == log_.segments.size()) {
    segment->end_offset = found.end_offset;
    segment->end_position = Position{align_up(found.end_position.value, block)};
  }
  if (found.last_crc) log_.last_crc = *found.last_crc;
  last_found_ = std::move(found);
  ++at_scan_;
  // The scan calls this as its last act; the next one replaces it from a fresh completion of the
  // disk.
  next_scan();
}

void Recovery::on_scans_done() {
  auto& segments = log_.segments;
  if (segments.empty()) return finish({});
  const SegmentRef last = segments.back();
  const Offset known_end = log_.durable_end;
  if (!last->readable) {
    last->active = false;
    last->end_offset = std::max(last->base() + 1, known_end);
    log_.durable_end = last->end_offset;
    return finish({});
  }
  log_.durable_end = last->end_offset;
  log_.start_offset = std::min(log_.start_offset, log_.durable_end);
  if (last->end_offset < known_end) {
    // The checkpoint vouches for events that are gone. Their offsets are never given again: the log
    // goes on behind them in a new segment.
    const std::string reason = "durable batches are missing from the end of the segment";
    diag::error("log", "{}: offsets [{}, {}) were durable and are missing; fenced", last->path,
                last->end_offset.value, known_end.value);
    log_.corrupt.add({{last->end_offset, known_end}, last->path, last_found_.end_position, reason});
    last->end_offset = known_end;
    last->active = false;
    last->sealed_at = environment_.clock.wall();
    log_.durable_end = known_end;
    log_.start_offset = checkpoint_->start_offset;
    return finish({});
  }
  if (!log_.refusal.empty()) {
    last->active = false;
    return finish({});
  }
  open_active();
}

void Recovery::open_active() {
  tail_ = last_found_.end_position;
  recovered_.resume = {Position{align_up(tail_.value, block)}, log_.durable_end, log_.last_crc,
                       align_down(last_found_.file_end.value, block)};
  stage_ = Stage::open_active;
  environment_.disk.open(io_, log_.segments.back()->path, OpenMode::write, Disk::Access::direct);
}

// What is cut off may be all that proves that damage before it was durable once, and with it the
// whole batches between: without it the next recovery would take them for torn.
//
//   | damaged batch, whole batch | torn batch, whole batch |
//                                 tail_     durable_position of the last one: behind the damage
//
// So a checkpoint says where the log ends before the proof goes.
void Recovery::cut_tail() {
  const auto cut = [this](Result<void> remembered) {
    if (!remembered) return finish(fail(remembered.error()));
    tail_cut_.start(recovered_.active_file, tail_, [this](auto done) {
      if (!done) return finish(fail(done.error()));
      recovered_.resume.file_bytes = align_up(tail_.value, block);
      finish({});
    });
  };
  if (!last_found_.went_on_behind) return cut({});
  const Segment& segment = *log_.segments.back();
  Checkpoint end;
  end.topic_id = identity_.topic_id;
  end.partition = identity_.partition;
  end.start_offset = log_.start_offset;
  end.durable_end = log_.durable_end;
  end.segment_base = segment.base();
  end.segment_id = segment.header.segment_id;
  end.scan_position = Position{align_up(tail_.value, block)};
  end.last_append_time = log_.last_append_time;
  end.last_crc = log_.last_crc;
  end.producers = log_.producers.saved(log_.durable_end);
  checkpoint_file_.write(std::move(end), cut);
}

void Recovery::finish(Result<void> outcome) {
  log_.appended_end = log_.durable_end;
  if (outcome) return call_last(done_, std::move(recovered_));
  error_ = outcome.error();
  const bool reading_header = stage_ == Stage::header_size || stage_ == Stage::read_header;
  const FileId open = reading_header ? file_ : recovered_.active_file;
  if (!open.is_open()) return call_last(done_, fail(std::move(error_)));
  stage_ = Stage::close_failed;
  environment_.disk.close(io_, open);
}

}  // namespace millrace
