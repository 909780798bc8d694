#include "storage/recovery.h"

#include "storage/base/call_last.h"
#include "storage/base/check.h"
#include "storage/base/diag.h"
#include "storage/log_files.h"
#include "storage/retention.h"
#include "storage/segment_chain.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

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
      return read_headers();
    case Stage::open_active:
      if (!io && !log_.refusal.empty()) return refused_unsynced(io.error());
      if (!io) return finish(fail(io.error()));
      recovered_.active_file = FileId{static_cast<std::int32_t>(*io)};
      if (nothing_new_since_close() && log_.durable_end == checkpoint_->durable_end &&
          !last_found_.tail_is_dirty && !place_is_wrong_)
        return on_synced();
      // What was read may be in a cache only, when it was the process that died. It is durable
      // before anybody is told of it, and before anything is written because of it.
      stage_ = Stage::sync_active;
      return disk.sync_data(io_, recovered_.active_file);
    case Stage::sync_active:
      if (!io && !log_.refusal.empty()) return refused_unsynced(io.error());
      if (!io) return finish(fail(io.error()));
      return on_synced();
    case Stage::close_left: return finish({});
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
  return checkpoint_ && !bases_.empty() && checkpoint_->clean && checkpoint_->segment_id != 0 &&
         bases_.back() == checkpoint_->segment_base;
}

void Recovery::read_headers() {
  headers_ = std::make_unique<SegmentHeaders>(environment_.disk, environment_.slabs, identity_,
                                              bases_, [this](auto found) {
                                                if (!found) return finish(fail(found.error()));
                                                log_.segments = std::move(found->segments);
                                                for (auto& reason : found->left_in_place)
                                                  refuse(std::move(reason));
                                                on_headers();
                                              });
  headers_->start();
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
  } else if (checkpoint_file_.lost_both_slots()) {
    // A log that was trimmed to its end has no segment: where it goes on stands there alone, and
    // was not the first thing to be written there.
    return finish(fail(Errc::storage_error,
                       fmt::format("{}: there is no segment, and the checkpoint cannot be read: "
                                   "which offsets were given is not known; put the file back from "
                                   "a backup, or delete the topic",
                                   path_of(checkpoint_file_name))));
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

void Recovery::find_holes() {
  for (ChainFault& fault : check_chain(log_.segments, checkpoint_, identity_.directory)) {
    if (!fault.refusal.empty()) refuse(std::move(fault.refusal));
    if (fault.range.offsets.begin < fault.range.offsets.end)
      log_.corrupt.add(std::move(fault.range));
  }
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
  plan.reach = SearchReach::of(segment->header);
  if (checkpoint_) plan.durable_end = checkpoint_->durable_end;
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
    // The first batch of a segment follows what the segment's header says, for every reader.
    if (plan.from != segment_layout::first_batch_position)
      plan.previous_crc = checkpoint_->last_crc;
  }
  place_is_wrong_ = !known && checkpoint_ && checkpoint_->segment_id == plan.segment_id;
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
    const Offset missing_from = std::max(last->end_offset, checkpoint_->start_offset);
    if (missing_from < known_end) {
      const std::string reason = "durable batches are missing from the end of the segment";
      diag::error("log", "{}: offsets [{}, {}) were durable and are missing; fenced", last->path,
                  missing_from.value, known_end.value);
      log_.corrupt.add({{missing_from, known_end}, last->path, last_found_.end_position, reason});
    }
    last->end_offset = known_end;
    last->active = false;
    last->left_as_it_is = true;
    last->sealed_at = log_.stamp_time(environment_.clock.wall());
    log_.durable_end = known_end;
    log_.start_offset = checkpoint_->start_offset;
    return finish({});
  }
  open_newest();
}

void Recovery::open_newest() {
  tail_ = last_found_.end_position;
  recovered_.resume = {Position{align_up(tail_.value, block)}, log_.durable_end, log_.last_crc,
                       align_down(last_found_.file_end.value, block)};
  stage_ = Stage::open_active;
  environment_.disk.open(io_, log_.segments.back()->path, OpenMode::write, Disk::Access::direct);
}

void Recovery::on_synced() {
  const bool goes_on = log_.refusal.empty() && !place_is_wrong_ && !last_found_.went_on_behind;
  return goes_on ? cut_tail() : leave_as_it_is();
}

// A log that refuses appends may lie where nothing can be written: it is read as it is.
void Recovery::refused_unsynced(const Error& why) {
  diag::warn("log", "{}: not synced: {}", log_.segments.back()->path, why.text);
  leave_as_it_is();
}

// What would be cut off may be all that proves that damage before it was durable once, and with it
// the whole batches between: without it the next recovery would take them for torn.
//
//   | damaged batch, whole batch | torn batch, whole batch |
//                                 tail_     durable_position of the last one: behind the damage
//
// So such a file stays as it is, and every later recovery finds the same in it; the log goes on in
// a new segment. The same where a checkpoint names a place in it that is none, and for a log that
// refuses appends.
void Recovery::leave_as_it_is() {
  const SegmentRef last = log_.segments.back();
  last->active = false;
  last->left_as_it_is = true;
  last->sealed_at = log_.stamp_time(environment_.clock.wall());
  if (!recovered_.active_file.is_open()) return finish({});
  stage_ = Stage::close_left;
  environment_.disk.close(io_, std::exchange(recovered_.active_file, {}));
}

void Recovery::cut_tail() {
  if (!last_found_.tail_is_dirty) return finish({});
  diag::warn("log",
             "{}: torn tail cut: {} bytes behind position {} (offset {}) do not continue the log",
             log_.segments.back()->path, last_found_.file_end - tail_, tail_.value,
             log_.durable_end.value);
  tail_cut_.start(recovered_.active_file, tail_, [this](auto done) {
    if (!done) return finish(fail(done.error()));
    recovered_.resume.file_bytes = align_up(tail_.value, block);
    finish({});
  });
}

void Recovery::finish(Result<void> outcome) {
  log_.appended_end = log_.durable_end;
  if (outcome) return call_last(done_, std::move(recovered_));
  error_ = outcome.error();
  if (!recovered_.active_file.is_open()) return call_last(done_, fail(std::move(error_)));
  stage_ = Stage::close_failed;
  environment_.disk.close(io_, recovered_.active_file);
}

}  // namespace millrace
