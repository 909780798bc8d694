#include "storage/log.h"

#include "storage/base/call_last.h"
#include "storage/base/check.h"
#include "storage/base/diag.h"
#include "storage/checkpoint.h"
#include "storage/checkpoint_schedule.h"
#include "storage/log_reads.h"
#include "storage/log_state.h"
#include "storage/log_tail.h"
#include "storage/recovery.h"
#include "storage/retention.h"
#include "storage/retired_segments.h"
#include "storage/tail_cache.h"
#include "storage/truncation.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

namespace millrace {

namespace {

// After the disk was full, appends are tried again at most this often.
constexpr Duration full_pause = milliseconds(500);

}  // namespace

class Log::Impl final : private LogTail::Owner, private CheckpointSchedule::Owner {
 public:
  Impl(LogEnvironment environment, LogIdentity identity, LogOptions options, LogListener& listener)
      : environment_(environment),
        identity_(std::move(identity)),
        options_(options),
        listener_(listener),
        cache_(environment.slabs, environment.cache_budget, options.tail_cache_bytes),
        deferred_(environment.timers, environment.clock),
        reads_(environment, identity_, options_, state_, cache_, deferred_, [this] { proceed(); }),
        tail_(environment, identity_, options_, state_, cache_, *this),
        checkpoint_file_(environment.disk, environment.slabs, identity_.directory),
        checkpoints_(environment, identity_, options_, state_, tail_, checkpoint_file_, *this),
        retired_(environment, identity_, tail_, [this] { on_removed(); }) {}

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
  LogTail& tail() { return tail_; }

  // -- trip two
  LogReads& reads() { return reads_; }

  // -- numbers
  std::uint64_t bytes() const {
    std::uint64_t total = 0;
    for (const auto& segment : state_.segments) total += segment->end_position.value;
    return total;
  }
  bool lacks_space() const { return checkpoints_.lacks_space(); }

  LogState state_;

 private:
  enum class Life { closed, opening, open, truncating, closing };

  // Anything of ours in flight that must end before files may change hands.
  bool quiet() const { return tail_.idle() && retired_.idle() && !checkpoint_file_.busy(); }
  void recover(Recovery::Done done);
  void adopt(RecoveredLog recovered);
  Result<void> admit(const BatchView& batch);
  void on_committed(const std::vector<Buffer>& batches, std::uint64_t bytes) override;
  void on_segment_made() override;
  void on_write_failed(const Error& error) override;
  bool may_commit() override;
  void on_room_made(const Result<void>& made) override;
  void on_ended() override;
  void on_taken_back(const Result<void>& outcome);
  Error pause_for(const Error& error) const;
  void fail_log(const Error& error);
  void on_start_saved(Offset in_both_slots) override;
  void retire();
  void on_removed();
  void keep_a_file();
  void proceed();
  bool drained();
  void step_close();
  void finish_close();
  void step_truncate();
  void start_truncation();
  void on_truncated(Result<void> cut);
  void end_truncate(Result<void> outcome);

  LogEnvironment environment_;
  const LogIdentity identity_;
  LogOptions options_;
  LogListener& listener_;
  Life life_ = Life::closed;
  TailCache cache_;
  DeferredCalls deferred_;
  LogReads reads_;
  LogTail tail_;
  CheckpointFile checkpoint_file_;
  CheckpointSchedule checkpoints_;
  RetiredSegments retired_;
  std::unique_ptr<Recovery> recovery_;
  std::unique_ptr<Truncation> truncation_;
  Instant full_until_{INT64_MIN};
  Error pause_error_;        // told while appends pause
  bool lacks_room_ = false;  // what is being taken back had no room for its sessions

  AgeClock age_clock_;
  Done life_done_;
  bool close_started_ = false;  // what was under way has ended
  Offset retired_below_;        // what both slots of the checkpoint say
  Offset truncate_end_;
  bool truncate_running_ = false;
};

// -- life
// ----------------------------------------------------------------------------------------------

void Log::Impl::open(Done done) {
  CHECK(life_ == Life::closed, "a log is opened once");
  life_ = Life::opening;
  life_done_ = std::move(done);
  recover([this](Result<RecoveredLog> recovered) {
    if (recovered) {
      adopt(std::move(*recovered));
      return call_last(life_done_, Result<void>{});
    }
    life_ = Life::open;  // so that close() takes back what is open
    state_.refusal = recovered.error().text;
    state_.refusal_code = recovered.error().code;
    call_last(life_done_, fail(recovered.error()));
  });
}

void Log::Impl::recover(Recovery::Done done) {
  recovery_ = std::make_unique<Recovery>(environment_, identity_, options_, checkpoint_file_,
                                         [this, done = std::move(done)](auto recovered) {
                                           recovery_.reset();
                                           done(std::move(recovered));
                                         });
  recovery_->start();
}

void Log::Impl::adopt(RecoveredLog recovered) {
  state_ = std::move(recovered.state);
  cache_.clear();
  retired_below_ = {};
  if (recovered.active_file.is_open()) tail_.resume(recovered.active_file, recovered.resume);
  life_ = Life::open;
  age_clock_.is_steady(environment_.clock.now(), environment_.clock.wall());
  checkpoints_.begin();
}

void Log::Impl::close(Done done) {
  CHECK(life_ == Life::open, "an open log is closed");
  life_ = Life::closing;
  life_done_ = std::move(done);
  close_started_ = false;
  checkpoints_.pause();
  reads_.pause();
  reads_.give_up();
  // From a fresh turn: the caller hears of the end after this call has returned, also when nothing
  // is left to do.
  deferred_.add([this] { proceed(); });
}

void Log::Impl::step_close() {
  if (close_started_ || !drained() || !reads_.idle()) return;
  close_started_ = true;
  // A log that refuses appends keeps the checkpoint that shows why. One that never had an event
  // needs none.
  if (!state_.refusal.empty() || state_.segments.empty()) return finish_close();
  Checkpoint last = checkpoints_.contents();
  last.clean = true;
  checkpoint_file_.write(std::move(last), [this](auto) { finish_close(); });
}

void Log::Impl::finish_close() {
  tail_.close([this] {
    cache_.clear();
    checkpoints_.refuse_waiting({Errc::shutting_down, "the log was closed"});
    life_ = Life::closed;
    call_last(life_done_, Result<void>{});
  });
}

void Log::Impl::truncate(Offset end, Done done) {
  CHECK(life_ == Life::open, "an open log is truncated");
  life_ = Life::truncating;
  life_done_ = std::move(done);
  truncate_end_ = end;
  checkpoints_.pause();
  reads_.pause();
  deferred_.add([this] { proceed(); });
}

// Everything staged becomes durable first: then the files alone tell what is there. A read in
// flight would meet the cut and take it for damage.
void Log::Impl::step_truncate() {
  if (truncate_running_ || !drained() || !reads_.idle()) return;
  if (!state_.refusal.empty()) return end_truncate(fail(state_.refusal_code, state_.refusal));
  if (truncate_end_ >= state_.durable_end) return end_truncate({});
  if (truncate_end_ < state_.start_offset)
    return end_truncate(fail(Errc::offset_out_of_range, "truncation below the start of the log"));
  truncate_running_ = true;
  cache_.clear();  // whatever comes of it, what was cut is not served from memory
  tail_.close([this] { start_truncation(); });
}

void Log::Impl::start_truncation() {
  checkpoints_.refuse_waiting({Errc::shutting_down, "the log is being closed or cut"});
  Truncation::Plan plan;
  plan.directory = identity_.directory;
  plan.segments.assign(state_.segments.begin(), state_.segments.end());
  plan.end = truncate_end_;
  plan.lowered = checkpoints_.lowered_to(truncate_end_);
  truncation_ = std::make_unique<Truncation>(
      environment_.disk, environment_.slabs, environment_.segment_pool, checkpoint_file_,
      std::move(plan), [this](auto cut) { on_truncated(cut); });
  truncation_->start();
}

// The directory is read again as after a crash, also when the cut was refused.
void Log::Impl::on_truncated(Result<void> cut) {
  truncation_.reset();
  recover([this, cut = std::move(cut)](Result<RecoveredLog> recovered) {
    if (!recovered) {
      fail_log(recovered.error());
      return end_truncate(fail(recovered.error()));
    }
    adopt(std::move(*recovered));
    // A cut that may be in a cache only is nothing to build on.
    if (!cut && cut.error().code != Errc::bad_request) fail_log(cut.error());
    end_truncate(cut);
  });
}

void Log::Impl::end_truncate(Result<void> outcome) {
  truncate_running_ = false;
  life_ = Life::open;
  checkpoints_.resume();
  reads_.resume();
  call_last(life_done_, std::move(outcome));
}

// Whether all that was under way has ended. What is staged becomes durable first.
bool Log::Impl::drained() {
  const bool staged = state_.appended_end > state_.durable_end;
  if (staged && state_.refusal.empty() && !tail_.is_taking_back()) {
    tail_.flush();
    return false;
  }
  return quiet();
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
  if (tail_.is_taking_back() || environment_.clock.now() < full_until_) return fail(pause_error_);
  const std::uint64_t staged = tail_.staged_bytes();
  if (staged != 0 && staged + batch.bytes().size() > options_.staged_bytes_max)
    return fail(Errc::overloaded, fmt::format("{} bytes wait for the disk already", staged));
  if (auto room = checkpoints_.admit_session(batch.header().producer_id); !room)
    return fail(room.error());
  if (state_.appended_end.value + batch.header().event_count > offset_max.value)
    return fail(Errc::offset_out_of_range, "the partition has used all its offsets");
  return {};
}

Result<OffsetRange> Log::Impl::append(const BatchView& batch) {
  if (auto ok = admit(batch); !ok) return fail(ok.error());
  return tail_.append(batch);
}

void Log::Impl::on_committed(const std::vector<Buffer>& batches, std::uint64_t bytes) {
  checkpoints_.note_progress(bytes);
  listener_.on_durable(state_.durable_end, batches);
}

void Log::Impl::on_segment_made() {
  checkpoints_.request({});
  apply_retention();
}

bool Log::Impl::may_commit() {
  if (checkpoints_.has_room()) return true;
  checkpoints_.make_room();
  return false;
}

void Log::Impl::on_room_made(const Result<void>& made) {
  if (tail_.is_taking_back()) return;
  lacks_room_ = !made;
  if (lacks_room_) return on_write_failed(made.error());
  tail_.flush();
}

void Log::Impl::on_ended() {
  // The segment below the start may have been busy when that was saved.
  if (life_ == Life::open) retire();
  retired_.proceed();
  proceed();
}

// -- when the disk refuses
// ---------------------------------------------------------------------------------

Error Log::Impl::pause_for(const Error& error) const {
  if (error.code != Errc::storage_full)
    return {error.code, error.text + "; appends resume by themselves"};
  return {Errc::storage_full,
          fmt::format("no space left for {}/{} ({}); free space or trim topics, appends resume by "
                      "themselves",
                      identity_.topic_name, identity_.partition, error.text)};
}

void Log::Impl::on_write_failed(const Error& error) {
  // A full disk and a want of descriptors pass; nothing else is tried again.
  const bool passes = error.code == Errc::storage_full || error.code == Errc::overloaded;
  if (!passes || !state_.refusal.empty()) return fail_log(error);
  pause_error_ = pause_for(error);
  diag::warn("log", "{}: appends pause: {}", identity_.directory, error.text);
  tail_.take_back([this](auto outcome) { on_taken_back(outcome); });
}

void Log::Impl::on_taken_back(const Result<void>& outcome) {
  if (!outcome) return fail_log(outcome.error());
  // Without room for a session more, those that the log has go on.
  const bool goes_on = std::exchange(lacks_room_, false) && checkpoints_.has_room();
  if (!goes_on) full_until_ = environment_.clock.now() + full_pause;
  listener_.on_append_failed(pause_error_);
}

void Log::Impl::fail_log(const Error& error) {
  if (!state_.refusal.empty()) return;
  state_.refusal_code = Errc::storage_error;
  state_.refusal =
      fmt::format("{} (no more appends until the broker is restarted; reads go on)", error.text);
  diag::error("log", "{}: {}", identity_.directory, state_.refusal);
  listener_.on_append_failed(Error{Errc::storage_error, state_.refusal});
}

// -- care
// ----------------------------------------------------------------------------------------------

void Log::Impl::trim(Offset start, Done done) {
  if (!state_.refusal.empty() || life_ != Life::open) {
    Error error = state_.refusal.empty()
                      ? Error{Errc::shutting_down, "the log is being closed or cut"}
                      : Error{state_.refusal_code, state_.refusal};
    deferred_.add([done = std::move(done), error] { done(fail(error)); });
    return;
  }
  if (start >= state_.durable_end) tail_.seal_if_quiet();
  checkpoints_.move_start(std::min(start, state_.durable_end), std::move(done));
}

void Log::Impl::apply_retention() {
  if (life_ != Life::open) return;
  keep_a_file();
  // What could not be done at the time.
  retire();
  retired_.proceed();
  tail_.seal_if_old();
  if (state_.segments.empty()) return;
  const std::vector<SegmentRef> all(state_.segments.begin(), state_.segments.end());
  LogOptions rules = options_;
  const WallTime wall = environment_.clock.wall();
  if (!age_clock_.is_steady(environment_.clock.now(), wall)) rules.retention_age = seconds(0);
  const std::size_t count = segments_to_retire(all, rules, wall);
  if (count == 0) return;
  trim(count == all.size() ? state_.durable_end : all[count]->base(), [](auto) {});
}

// Whoever asked for the start may have been told of a failure: what lies below it goes all the
// same.
void Log::Impl::on_start_saved(Offset in_both_slots) {
  state_.corrupt.forget_below(state_.start_offset);
  retired_below_ = in_both_slots;
  retire();
  retired_.proceed();
}

// The newest file says where the log goes on, should the checkpoint be lost: it stays until its
// successor has one, unless the disk is full and the space is wanted first.
void Log::Impl::retire() {
  const std::vector<SegmentRef> all(state_.segments.begin(), state_.segments.end());
  std::size_t count = segments_below(all, retired_below_);
  const bool pauses = environment_.clock.now() < full_until_;
  const bool is_full = pauses && pause_error_.code == Errc::storage_full;
  if (count != 0 && count + tail_.without_file() >= all.size() && !is_full) {
    --count;
    if (!pauses) tail_.make_file();
  }
  for (; count > 0; --count) {
    retired_.add(std::move(state_.segments.front()));
    state_.segments.pop_front();
  }
}

void Log::Impl::on_removed() {
  if (life_ == Life::open) keep_a_file();
  proceed();
}

// A log that has had events has a segment file.
void Log::Impl::keep_a_file() {
  if (state_.durable_end > Offset{0} && state_.segments.size() <= tail_.without_file())
    tail_.make_file();
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
void Log::flush() { impl_->tail().flush(); }
bool Log::has_staged() const { return impl_->state_.appended_end > impl_->state_.durable_end; }
std::uint64_t Log::staged_bytes() const { return impl_->tail().staged_bytes(); }
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
bool Log::lacks_space() const { return impl_->lacks_space(); }
const std::string& Log::refusal() const { return impl_->state_.refusal; }

}  // namespace millrace
