#include "storage/log.h"

#include "storage/base/call_last.h"
#include "storage/base/check.h"
#include "storage/base/diag.h"
#include "storage/checkpoint.h"
#include "storage/log_files.h"
#include "storage/log_reads.h"
#include "storage/log_state.h"
#include "storage/recovery.h"
#include "storage/retention.h"
#include "storage/segment_create.h"
#include "storage/segment_removal.h"
#include "storage/segment_seal.h"
#include "storage/segment_writer.h"
#include "storage/tail_cache.h"
#include "storage/tail_cut.h"
#include "storage/truncation.h"

#include <fmt/core.h>

#include <algorithm>
#include <deque>
#include <list>
#include <utility>

namespace millrace {

namespace {

// After the disk was full, appends are tried again at most this often.
constexpr Duration full_pause = milliseconds(500);

}  // namespace

class Log::Impl {
 public:
  Impl(LogEnvironment environment, LogIdentity identity, LogOptions options, LogListener& listener)
      : environment_(environment),
        identity_(std::move(identity)),
        options_(options),
        listener_(listener),
        cache_(environment.slabs, environment.cache_budget, options.tail_cache_bytes),
        deferred_(environment.timers, environment.clock),
        reads_(environment, identity_, options_, state_, cache_, deferred_, [this] { proceed(); }),
        checkpoint_(environment.disk, environment.slabs, identity_.directory),
        tail_cut_(environment.disk, environment.slabs),
        io_(this, Completion::to<&Impl::on_closed, Impl>()),
        idle_timer_(this, [](void* self) { static_cast<Impl*>(self)->on_idle(); }) {}

  ~Impl() { CHECK(life_ == Life::closed, "a log is closed before it dies"); }

  // -- life
  void open(Done done);
  void close(Done done);
  void truncate(Offset end, Done done);
  void trim(Offset start, Done done);
  void apply_retention();
  void set_options(const LogOptions& options) {
    options_ = options;
    cache_.set_bytes_max(options.tail_cache_bytes);
  }

  // -- trip one
  Result<OffsetRange> append(const BatchView& batch);
  void flush();
  std::uint64_t staged_bytes() const {
    return (sealing_ ? sealing_->staged_bytes() : 0) + (writer_ ? writer_->staged_bytes() : 0);
  }

  // -- trip two
  LogReads& reads() { return reads_; }

  // -- numbers
  std::uint64_t bytes() const {
    std::uint64_t total = 0;
    for (const auto& segment : state_.segments) total += segment->end_position.value;
    return total;
  }

  LogState state_;

 private:
  enum class Life { closed, opening, open, truncating, closing };

  // Anything of ours in flight that must end before files may change hands.
  bool quiet() const {
    return !create_ && seals_.empty() && !removal_ && retired_.empty() && !checkpoint_.busy() &&
           !tail_cut_.busy() && !io_.in_flight() && (!writer_ || writer_->idle()) &&
           (!sealing_ || sealing_->idle());
  }
  void on_recovered(RecoveredLog recovered);
  Result<void> admit(const BatchView& batch);
  bool must_roll(std::size_t bytes, WallTime now) const;
  void begin_segment(WallTime now);
  void start_create(const SegmentWriter& writer);
  void on_created(Result<SegmentCreate::Made> made);
  void on_commit(const Result<void>& result);
  void advance_durable();
  void finish_sealing();
  void on_write_failed(const Error& error);
  void start_cut();
  void after_cut();
  void reset_to_durable();
  void fail_log(const Error& error);
  void on_idle();
  void note_progress(std::uint64_t bytes);
  void request_checkpoint(Done done);
  void write_checkpoint();
  Checkpoint make_checkpoint(bool clean) const;
  void seal_if_old();
  void drop_below_start();
  void remove_retired();
  void proceed();
  void on_closed(IoResult) { proceed(); }
  void step_close();
  void step_truncate();
  std::string index_path(const Segment& segment) const {
    return join_path(identity_.directory, index_file_name(segment.base()));
  }
  WallTime now_wall() const { return std::max(environment_.clock.wall(), state_.last_append_time); }

  LogEnvironment environment_;
  const LogIdentity identity_;
  LogOptions options_;
  LogListener& listener_;
  Life life_ = Life::closed;
  TailCache cache_;
  DeferredCalls deferred_;
  LogReads reads_;
  CheckpointFile checkpoint_;
  std::unique_ptr<Recovery> recovery_;
  std::unique_ptr<SegmentWriter> writer_;   // takes appends
  std::unique_ptr<SegmentWriter> sealing_;  // the one before it, until all of it is durable
  std::unique_ptr<SegmentCreate> create_;
  std::list<std::unique_ptr<SegmentSeal>> seals_;
  std::unique_ptr<SegmentRemoval> removal_;
  std::vector<SegmentRef> retired_;  // waiting for removal
  std::unique_ptr<Truncation> truncation_;
  Instant full_until_{INT64_MIN};
  Error pause_error_;     // told while appends pause
  bool cutting_ = false;  // a full disk: taking back what was half written

  // Checkpoints: who waits for the one in flight, who for the next.
  std::vector<Done> checkpoint_waiters_, next_checkpoint_waiters_;
  bool checkpoint_wanted_ = false;
  std::uint64_t bytes_since_checkpoint_ = 0;
  Offset pending_start_;  // becomes state_.start_offset when a checkpoint has it

  TailCut tail_cut_;
  Completion io_;  // the close of a file
  Timer idle_timer_;
  Done life_done_;
  enum class CloseStep { drain, checkpoint, files, done } close_step_ = CloseStep::drain;
  Offset truncate_end_;
  bool truncate_running_ = false;
};

// -- life
// ----------------------------------------------------------------------------------------------

void Log::Impl::open(Done done) {
  CHECK(life_ == Life::closed, "a log is opened once");
  life_ = Life::opening;
  life_done_ = std::move(done);
  recovery_ = std::make_unique<Recovery>(
      environment_, identity_, options_, checkpoint_, [this](auto recovered) {
        if (!recovered) {
          const Error error = recovered.error();
          life_ = Life::open;  // so that close() takes back what is open
          state_.refusal = error.text;
          state_.refusal_code = error.code;
          return call_last(life_done_, fail(error));
        }
        on_recovered(std::move(*recovered));
      });
  recovery_->start();
}

void Log::Impl::on_recovered(RecoveredLog recovered) {
  state_ = std::move(recovered.state);
  pending_start_ = state_.start_offset;
  cache_.clear();
  if (recovered.active_file.is_open()) {
    writer_ = std::make_unique<SegmentWriter>(environment_.disk, cache_,
                                              state_.segments.back()->header, recovered.resume,
                                              options_, [this](auto result) { on_commit(result); });
    writer_->attach(recovered.active_file, recovered.resume.file_bytes);
  }
  life_ = Life::open;
  environment_.timers.arm(idle_timer_, environment_.clock.now() + options_.checkpoint_idle);
  call_last(life_done_, Result<void>{});
}

void Log::Impl::close(Done done) {
  CHECK(life_ == Life::open, "an open log is closed");
  life_ = Life::closing;
  life_done_ = std::move(done);
  close_step_ = CloseStep::drain;
  idle_timer_.cancel();
  reads_.give_up();
  // From a fresh turn: the caller hears of the end after this call has returned, also when nothing
  // is left to do.
  deferred_.add([this] { proceed(); });
}

void Log::Impl::step_close() {
  switch (close_step_) {
    case CloseStep::drain:
      if (state_.refusal.empty() && !cutting_ && state_.appended_end > state_.durable_end)
        return flush();
      if (!quiet() || !reads_.idle()) return;
      close_step_ = CloseStep::checkpoint;
      // A log that refuses appends keeps the checkpoint that shows why. One that never had an event
      // needs none.
      if (state_.refusal.empty() && !state_.segments.empty()) {
        checkpoint_wanted_ = false;
        return checkpoint_.write(make_checkpoint(true), [this](auto) {
          close_step_ = CloseStep::files;
          step_close();
        });
      }
      close_step_ = CloseStep::files;
      [[fallthrough]];
    case CloseStep::files:
      for (auto* writer : {&sealing_, &writer_}) {
        if (!*writer) continue;
        const FileId file = (*writer)->file();
        writer->reset();
        if (!file.is_open()) continue;
        return environment_.disk.close(io_, file);
      }
      close_step_ = CloseStep::done;
      cache_.clear();
      recovery_.reset();
      for (const Done& waiter : std::exchange(next_checkpoint_waiters_, {}))
        waiter(fail(Errc::shutting_down, "the log was closed"));
      life_ = Life::closed;
      return call_last(life_done_, Result<void>{});
    case CloseStep::checkpoint:
    case CloseStep::done: return;
  }
}

void Log::Impl::truncate(Offset end, Done done) {
  CHECK(life_ == Life::open, "an open log is truncated");
  life_ = Life::truncating;
  life_done_ = std::move(done);
  truncate_end_ = end;
  idle_timer_.cancel();
  deferred_.add([this] { proceed(); });
}

// Everything staged becomes durable first: then the files alone tell what is there.
void Log::Impl::step_truncate() {
  if (truncate_running_) return;
  if (state_.refusal.empty() && !cutting_ && state_.appended_end > state_.durable_end)
    return flush();
  if (!quiet()) return;
  const auto end_with = [this](Result<void> outcome) {
    truncate_running_ = false;
    life_ = Life::open;
    call_last(life_done_, std::move(outcome));
  };
  if (!state_.refusal.empty()) return end_with(fail(state_.refusal_code, state_.refusal));
  if (truncate_end_ >= state_.durable_end) return end_with({});
  if (truncate_end_ < state_.start_offset)
    return end_with(fail(Errc::offset_out_of_range, "truncation below the start of the log"));
  if (writer_) {
    const FileId file = writer_->file();
    state_.last_crc = writer_->durable_crc();
    state_.segments.back()->active = false;
    state_.segments.back()->sealed_at = now_wall();
    if (!file.is_open()) state_.segments.pop_back();
    writer_.reset();
    if (file.is_open()) return environment_.disk.close(io_, file);
  }
  truncate_running_ = true;
  // What the checkpoint vouches for must not be more than what will be there. Without a scan
  // position the recovery that follows reads the last segment from its start.
  // A retention that nobody was told of yet, and that would go beyond the new end, is for another
  // day.
  if (pending_start_ > truncate_end_) pending_start_ = state_.start_offset;
  Checkpoint lower = make_checkpoint(false);
  lower.durable_end = truncate_end_;
  lower.segment_id = 0;
  lower.segment_base = Offset{0};
  lower.producers = state_.producers.saved(truncate_end_);
  checkpoint_.write(std::move(lower), [this, end_with](auto written) {
    if (!written) return end_with(fail(written.error()));
    truncation_ = std::make_unique<Truncation>(
        environment_.disk, environment_.slabs, environment_.segment_pool, identity_.directory,
        std::vector<SegmentRef>(state_.segments.begin(), state_.segments.end()), truncate_end_,
        [this](auto cut) {
          // The directory is read again as after a crash, also when the cut was refused.
          recovery_ = std::make_unique<Recovery>(
              environment_, identity_, options_, checkpoint_,
              [this, outcome = Result<void>(cut)](auto recovered) {
                truncation_.reset();
                truncate_running_ = false;
                if (!recovered) {
                  life_ = Life::open;
                  fail_log(recovered.error());
                  return call_last(life_done_, fail(recovered.error()));
                }
                // A cut that may be in a cache only is nothing to build on.
                if (!outcome && outcome.error().code != Errc::bad_request &&
                    recovered->state.refusal.empty()) {
                  recovered->state.refusal =
                      fmt::format("{} (no more appends until the broker is restarted; reads go on)",
                                  outcome.error().text);
                }
                if (!outcome) {
                  life_done_ = [done = std::move(life_done_), outcome](auto) {
                    done(fail(outcome.error()));
                  };
                }
                on_recovered(std::move(*recovered));
              });
          recovery_->start();
        });
    truncation_->start();
  });
}

// Called whenever something of ours has ended.
void Log::Impl::proceed() {
  if (life_ == Life::closing) return step_close();
  if (life_ == Life::truncating) return step_truncate();
}

// -- trip one
// --------------------------------------------------------------------------------------------

Result<void> Log::Impl::admit(const BatchView& batch) {
  if (!state_.refusal.empty()) return fail(state_.refusal_code, state_.refusal);
  if (life_ != Life::open) return fail(Errc::shutting_down, "the log is being closed or cut");
  if (batch.bytes().size() > options_.batch_bytes_max)
    return fail(Errc::too_large, fmt::format("a batch of {} bytes is above batch_bytes_max = {}",
                                             batch.bytes().size(), options_.batch_bytes_max));
  if (cutting_ || environment_.clock.now() < full_until_) return fail(pause_error_);
  if (staged_bytes() != 0 && staged_bytes() + batch.bytes().size() > options_.staged_bytes_max)
    return fail(Errc::overloaded,
                fmt::format("{} bytes wait for the disk already", staged_bytes()));
  if (state_.appended_end.value + batch.header().event_count > offset_max.value)
    return fail(Errc::offset_out_of_range, "the partition has used all its offsets");
  return {};
}

bool Log::Impl::must_roll(std::size_t bytes, WallTime now) const {
  if (!writer_) return false;
  if (!writer_->has_room(bytes)) return true;
  const bool empty = writer_->staged_position() == segment_layout::first_batch_position;
  return !empty && options_.segment_age.ns != 0 &&
         now.ns - writer_->header().created.ns > options_.segment_age.ns;
}

Result<OffsetRange> Log::Impl::append(const BatchView& batch) {
  if (auto ok = admit(batch); !ok) return fail(ok.error());
  const WallTime now = now_wall();
  if (must_roll(batch.header().padded_bytes(), now)) {
    if (sealing_) return fail(Errc::overloaded, "two segments wait for the disk already");
    writer_->finish();
    sealing_ = std::move(writer_);
  }
  if (!writer_) begin_segment(now);
  const Position at = writer_->staged_position();
  auto stamped = writer_->stage(batch, LeaderEpoch{0}, now);
  if (!stamped) return fail(stamped.error());
  state_.segments.back()->index.note(*stamped, Position{stamped->position},
                                     options_.index_interval_bytes);
  CHECK(stamped->position >= at.value, "batches follow each other");
  state_.producers.note(*stamped);
  state_.last_append_time = now;
  state_.appended_end = stamped->end_offset();
  return stamped->range();
}

// The segment exists in memory and takes batches at once; its file is made when the one before is
// durable.
void Log::Impl::begin_segment(WallTime now) {
  SegmentHeader header;
  header.cluster_id = identity_.cluster_id;
  header.topic_id = identity_.topic_id;
  header.partition = identity_.partition;
  header.topic_name = identity_.topic_name;
  header.base_offset = state_.appended_end;
  header.created = now;
  do {
    header.segment_id = environment_.random.next();
  } while (header.segment_id == 0);
  if (!state_.segments.empty()) {
    header.previous_segment_id = state_.segments.back()->header.segment_id;
    header.previous_base_offset = state_.segments.back()->base();
    state_.segments.back()->sealed_at = now;
  }
  header.previous_crc = sealing_ ? sealing_->last_crc() : state_.last_crc;
  auto segment = std::make_shared<Segment>();
  segment->header = header;
  segment->path = join_path(identity_.directory, segment_file_name(header.base_offset));
  segment->end_offset = header.base_offset;
  segment->end_position = segment_layout::first_batch_position;
  segment->active = true;
  segment->index_whole = true;
  state_.segments.push_back(std::move(segment));
  SegmentWriter::Resume fresh;
  fresh.end = header.base_offset;
  fresh.last_crc = header.previous_crc;
  writer_ = std::make_unique<SegmentWriter>(environment_.disk, cache_, header, fresh, options_,
                                            [this](auto result) { on_commit(result); });
}

void Log::Impl::flush() {
  if (cutting_ || !state_.refusal.empty()) return;
  if (sealing_) {
    if (!sealing_->attached()) return start_create(*sealing_);
    sealing_->flush();
    if (!sealing_->all_durable() || !sealing_->idle()) return;
    finish_sealing();
  }
  if (!writer_) return;
  if (!writer_->attached()) return start_create(*writer_);
  writer_->flush();
}

void Log::Impl::finish_sealing() {
  // state_.segments: [..., sealed, active]
  const SegmentRef segment = state_.segments[state_.segments.size() - 2];
  segment->active = false;
  segment->end_offset = sealing_->durable_end();
  segment->end_position = sealing_->durable_position();
  IndexFile index;
  index.segment_id = segment->header.segment_id;
  index.base_offset = segment->base();
  index.end_offset = segment->end_offset;
  index.end_position = segment->end_position;
  index.last_append_time = segment->sealed_at;
  index.last_crc = sealing_->durable_crc();
  index.entries = segment->index.entries();
  state_.last_crc = sealing_->durable_crc();
  const FileId file = sealing_->file();
  const bool whole = segment->index_whole;
  sealing_.reset();
  if (!whole)
    index.end_offset =
        segment->base();  // a partial index: written so that it is rebuilt on its first use
  auto& place = seals_.emplace_back();
  place = std::make_unique<SegmentSeal>(
      environment_.disk, environment_.slabs, environment_.segment_pool, segment, file,
      index_path(*segment), std::move(index), [this, at = &place] {
        seals_.remove_if([&](const auto& seal) { return &seal == at; });
        remove_retired();
        proceed();
      });
  place->start();
}

void Log::Impl::start_create(const SegmentWriter& writer) {
  if (create_ || writer.all_durable()) return;
  create_ = std::make_unique<SegmentCreate>(
      environment_.disk, environment_.slabs, environment_.segment_pool, identity_.directory,
      writer.header(), [this](auto made) { on_created(std::move(made)); });
  create_->start();
}

void Log::Impl::on_created(Result<SegmentCreate::Made> made) {
  create_.reset();
  if (!made) {
    on_write_failed(made.error());
    return proceed();
  }
  (sealing_ ? sealing_ : writer_)->attach(made->file, made->file_bytes);
  request_checkpoint({});
  apply_retention();
  flush();
  proceed();
}

void Log::Impl::on_commit(const Result<void>& result) {
  if (!result) {
    on_write_failed(result.error());
  } else {
    advance_durable();
    if (cutting_) start_cut();
    flush();
  }
  proceed();
}

void Log::Impl::advance_durable() {
  const SegmentWriter& writer = sealing_ ? *sealing_ : *writer_;
  if (writer.durable_end() <= state_.durable_end) return;
  const Offset before = std::exchange(state_.durable_end, writer.durable_end());
  Segment& segment =
      sealing_ ? *state_.segments[state_.segments.size() - 2] : *state_.segments.back();
  const std::uint64_t bytes = writer.durable_position() - segment.end_position;
  segment.end_offset = state_.durable_end;
  segment.end_position = writer.durable_position();
  const std::vector<Buffer> batches = cache_.batches(before, state_.durable_end);
  cache_.set_durable(state_.durable_end);
  note_progress(bytes);
  listener_.on_durable(state_.durable_end, batches);
}

// -- when the disk refuses
// ---------------------------------------------------------------------------------

void Log::Impl::on_write_failed(const Error& error) {
  // A full disk and a want of descriptors pass; nothing else is tried again.
  const bool is_full = error.code == Errc::storage_full;
  if ((!is_full && error.code != Errc::overloaded) || !state_.refusal.empty())
    return fail_log(error);
  pause_error_ = is_full ? Error{Errc::storage_full,
                                 "no space left for this log; free space or trim topics, appends "
                                 "resume by themselves"}
                         : Error{Errc::overloaded, error.text + "; appends resume by themselves"};
  diag::warn("log", "{}: appends pause: {}", identity_.directory, error.text);
  cutting_ = true;
  start_cut();
}

// What was half written would be found by a later recovery and come back although it was refused:
// it is cut off durably before anybody is told.
void Log::Impl::start_cut() {
  if (tail_cut_.busy()) return;
  SegmentWriter* writer = sealing_ ? sealing_.get() : writer_.get();
  if (writer == nullptr || !writer->attached()) return after_cut();
  if (!writer->idle()) return;  // its preallocation ends first, and calls on_commit
  tail_cut_.start(writer->file(), writer->durable_position(), [this](auto cut) {
    cut ? after_cut() : fail_log(cut.error());
    proceed();
  });
}

void Log::Impl::after_cut() {
  reset_to_durable();
  cutting_ = false;
  full_until_ = environment_.clock.now() + full_pause;
  listener_.on_append_failed(pause_error_);
}

// Forgets everything that was appended and is not durable.
void Log::Impl::reset_to_durable() {
  cache_.drop_from(state_.durable_end);
  state_.producers.truncate(state_.durable_end);
  state_.appended_end = state_.durable_end;
  // A successor that has no file yet was never there.
  if (sealing_) {
    writer_ = std::move(sealing_);
    state_.segments.pop_back();
    state_.segments.back()->sealed_at = {};
  }
  if (!writer_) return;
  if (!writer_->attached()) {
    state_.last_crc = writer_->durable_crc();
    writer_.reset();
    state_.segments.pop_back();
    if (!state_.segments.empty()) state_.segments.back()->sealed_at = {};
    return;
  }
  Segment& segment = *state_.segments.back();
  std::vector<IndexEntry> entries = segment.index.entries();
  while (!entries.empty() && entries.back().offset >= state_.durable_end) entries.pop_back();
  segment.index.assign(std::move(entries));
  const FileId file = writer_->file();
  const SegmentWriter::Resume resume{writer_->durable_position(), state_.durable_end,
                                     writer_->durable_crc(), writer_->durable_position().value};
  writer_ = std::make_unique<SegmentWriter>(environment_.disk, cache_, segment.header, resume,
                                            options_, [this](auto result) { on_commit(result); });
  writer_->attach(file, resume.file_bytes);
}

void Log::Impl::fail_log(const Error& error) {
  if (!state_.refusal.empty()) return;
  state_.refusal_code = Errc::storage_error;
  state_.refusal =
      fmt::format("{} (no more appends until the broker is restarted; reads go on)", error.text);
  cutting_ = false;
  diag::error("log", "{}: {}", identity_.directory, state_.refusal);
  listener_.on_append_failed(Error{Errc::storage_error, state_.refusal});
}

// -- checkpoint, retention
// ---------------------------------------------------------------------------------

void Log::Impl::note_progress(std::uint64_t bytes) {
  bytes_since_checkpoint_ += bytes;
  if (life_ != Life::open) return;
  if (bytes_since_checkpoint_ >= options_.checkpoint_interval_bytes) return request_checkpoint({});
  environment_.timers.arm(idle_timer_, environment_.clock.now() + options_.checkpoint_idle);
}

void Log::Impl::on_idle() {
  recovery_.reset();
  if (life_ == Life::open && bytes_since_checkpoint_ != 0) request_checkpoint({});
}

Checkpoint Log::Impl::make_checkpoint(bool clean) const {
  Checkpoint checkpoint;
  checkpoint.topic_id = identity_.topic_id;
  checkpoint.partition = identity_.partition;
  checkpoint.clean = clean;
  checkpoint.start_offset = pending_start_;
  checkpoint.durable_end = state_.durable_end;
  checkpoint.last_append_time = state_.last_append_time;
  checkpoint.last_crc = state_.last_crc;
  const SegmentWriter* writer = sealing_ ? sealing_.get() : writer_.get();
  // A successor whose file is not there yet is nothing to name.
  if (writer != nullptr && writer->attached()) {
    checkpoint.segment_base = writer->header().base_offset;
    checkpoint.segment_id = writer->header().segment_id;
    checkpoint.scan_position = writer->durable_position();
    checkpoint.last_crc = writer->durable_crc();
  } else if (!state_.segments.empty()) {
    const auto has_file = [&](const SegmentRef& s) {
      for (const auto* w : {sealing_.get(), writer_.get()})
        if (w != nullptr && !w->attached() && w->header().segment_id == s->header.segment_id)
          return false;
      return true;
    };
    const auto last = std::find_if(state_.segments.rbegin(), state_.segments.rend(), has_file);
    if (last != state_.segments.rend() && (*last)->readable) {
      checkpoint.segment_base = (*last)->base();
      checkpoint.segment_id = (*last)->header.segment_id;
      // Fenced at its end, it is looked at again from its start, and never appended to.
      if (!state_.corrupt.reaches(state_.durable_end))
        checkpoint.scan_position = (*last)->end_position;
    }
  }
  checkpoint.producers = state_.producers.saved(state_.durable_end);
  return checkpoint;
}

void Log::Impl::request_checkpoint(Done done) {
  if (done) next_checkpoint_waiters_.push_back(std::move(done));
  checkpoint_wanted_ = true;
  write_checkpoint();
}

void Log::Impl::write_checkpoint() {
  if (!checkpoint_wanted_ || checkpoint_.busy() || life_ != Life::open) return;
  checkpoint_wanted_ = false;
  bytes_since_checkpoint_ = 0;
  idle_timer_.cancel();
  checkpoint_waiters_ = std::move(next_checkpoint_waiters_);
  next_checkpoint_waiters_.clear();
  const Offset start = pending_start_;
  checkpoint_.write(make_checkpoint(false), [this, start](auto written) {
    if (written) {
      state_.start_offset = std::max(state_.start_offset, start);
      drop_below_start();
    } else {
      diag::warn("log", "{}: checkpoint not written: {}", identity_.directory,
                 written.error().text);
    }
    const std::vector<Done> waiters = std::move(checkpoint_waiters_);
    checkpoint_waiters_.clear();
    for (const Done& waiter : waiters) waiter(written);
    write_checkpoint();
    proceed();
  });
}

void Log::Impl::trim(Offset start, Done done) {
  if (!state_.refusal.empty() || life_ != Life::open) {
    Error error = state_.refusal.empty()
                      ? Error{Errc::shutting_down, "the log is being closed or cut"}
                      : Error{state_.refusal_code, state_.refusal};
    deferred_.add([done = std::move(done), error] { done(fail(error)); });
    return;
  }
  pending_start_ = std::max(pending_start_, std::min(start, state_.durable_end));
  request_checkpoint(std::move(done));
}

void Log::Impl::apply_retention() {
  if (life_ != Life::open) return;
  seal_if_old();
  if (state_.segments.empty()) return;
  const std::vector<SegmentRef> all(state_.segments.begin(), state_.segments.end());
  const std::size_t count = segments_to_retire(all, options_, now_wall());
  if (count == 0) return;
  trim(count == all.size() ? state_.durable_end : all[count]->base(), [](auto) {});
}

// A quiet log gets no append that would seal its segment, yet what is in it grows old.
void Log::Impl::seal_if_old() {
  if (!writer_ || sealing_ || !writer_->attached() || !writer_->all_durable()) return;
  if (!state_.refusal.empty() || cutting_ || !must_roll(0, environment_.clock.wall())) return;
  writer_->finish();
  sealing_ = std::move(writer_);
  begin_segment(now_wall());
  flush();
}

// Whoever asked for the start may have been told of a failure: what lies below it goes all the
// same.
void Log::Impl::drop_below_start() {
  state_.corrupt.forget_below(state_.start_offset);
  const std::vector<SegmentRef> all(state_.segments.begin(), state_.segments.end());
  for (std::size_t i = segments_below(all, state_.start_offset); i > 0; --i) {
    retired_.push_back(std::move(state_.segments.front()));
    state_.segments.pop_front();
  }
  remove_retired();
}

void Log::Impl::remove_retired() {
  if (removal_ || retired_.empty()) return;
  // A seal that is on its way would put an index behind a segment that is gone.
  const bool sealing = std::any_of(seals_.begin(), seals_.end(), [this](const auto& seal) {
    return std::find(retired_.begin(), retired_.end(), seal->segment()) != retired_.end();
  });
  if (sealing) return;
  std::vector<SegmentRef> batch = std::move(retired_);
  retired_.clear();
  removal_ = std::make_unique<SegmentRemoval>(
      environment_.disk, environment_.segment_pool, identity_.directory, std::move(batch), true,
      [this](auto removed) {
        if (!removed)
          diag::warn("log", "{}: a retired segment was not removed: {}", identity_.directory,
                     removed.error().text);
        removal_.reset();
        remove_retired();
        proceed();
      });
  removal_->start();
}

// -- Log: the door
// -------------------------------------------------------------------------------------------

Log::Log(LogEnvironment environment, LogIdentity identity, LogOptions options,
         LogListener& listener)
    : impl_(std::make_unique<Impl>(environment, std::move(identity), options, listener)) {}
Log::~Log() = default;
void Log::open(Done done) { impl_->open(std::move(done)); }
void Log::close(Done done) { impl_->close(std::move(done)); }
void Log::truncate(Offset end, Done done) { impl_->truncate(end, std::move(done)); }
void Log::trim(Offset start, Done done) { impl_->trim(start, std::move(done)); }
void Log::apply_retention() { impl_->apply_retention(); }
void Log::set_options(const LogOptions& options) { impl_->set_options(options); }
Result<OffsetRange> Log::append(const BatchView& batch) { return impl_->append(batch); }
void Log::flush() { impl_->flush(); }
bool Log::has_staged() const { return impl_->state_.appended_end > impl_->state_.durable_end; }
std::uint64_t Log::staged_bytes() const { return impl_->staged_bytes(); }
Result<ReadResult> Log::read_cached(Offset from, std::size_t bytes_max, bool& must_read) {
  return impl_->reads().read_cached(from, bytes_max, must_read);
}
std::unique_ptr<LogRead> Log::read(Offset from, std::size_t bytes_max, ReadDone done) {
  return impl_->reads().read(from, bytes_max, std::move(done));
}
std::unique_ptr<LogRead> Log::verify(Offset from, std::size_t bytes_max, ReadDone done) {
  return impl_->reads().verify(from, bytes_max, std::move(done));
}
std::unique_ptr<LogRead> Log::find_time(WallTime time, std::function<void(Result<Offset>)> done) {
  return impl_->reads().find_time(time, std::move(done));
}
Offset Log::start_offset() const { return impl_->state_.start_offset; }
Offset Log::durable_end() const { return impl_->state_.durable_end; }
Offset Log::appended_end() const { return impl_->state_.appended_end; }
std::uint64_t Log::bytes() const { return impl_->bytes(); }
std::size_t Log::segment_count() const { return impl_->state_.segments.size(); }
WallTime Log::last_append_time() const { return impl_->state_.last_append_time; }
const ProducerStates& Log::producers() const { return impl_->state_.producers; }
const std::vector<CorruptRange>& Log::corrupt_ranges() const {
  return impl_->state_.corrupt.list();
}
const std::string& Log::refusal() const { return impl_->state_.refusal; }

}  // namespace millrace
