#include "storage/checkpoint_schedule.h"

#include "storage/base/diag.h"

#include <fmt/core.h>

#include <algorithm>
#include <bit>
#include <utility>

namespace millrace {

namespace {

// Room that a full disk refused is asked for again at most this often.
constexpr Duration room_pause = milliseconds(500);

// Room grows by doubling: few logs have many sessions.
std::size_t room_for(std::size_t sessions) {
  constexpr std::size_t largest =
      align_up(checkpoint_layout::state_bytes_max(checkpoint_layout::producers_limit),
               Disk::direct_alignment);
  const std::size_t needed =
      align_up(checkpoint_layout::state_bytes_max(sessions), Disk::direct_alignment);
  return std::min(std::bit_ceil(needed), largest);
}

}  // namespace

CheckpointSchedule::CheckpointSchedule(const LogEnvironment& environment,
                                       const LogIdentity& identity, const LogOptions& options,
                                       LogState& state, const LogTail& tail, CheckpointFile& file,
                                       Owner& owner)
    : environment_(environment),
      identity_(identity),
      options_(options),
      state_(state),
      tail_(tail),
      file_(file),
      owner_(owner),
      idle_timer_(this, [](void* self) { static_cast<CheckpointSchedule*>(self)->on_idle(); }),
      room_timer_(this,
                  [](void* self) { static_cast<CheckpointSchedule*>(self)->on_room_timer(); }) {}

void CheckpointSchedule::begin() {
  running_ = true;
  pending_start_ = saved_start_ = state_.start_offset;
  environment_.timers.arm(idle_timer_, environment_.clock.now() + options_.checkpoint_idle);
}

void CheckpointSchedule::pause() {
  running_ = false;
  idle_timer_.cancel();
  room_timer_.cancel();
}

void CheckpointSchedule::resume() {
  running_ = true;
  if (room_error_.code != Errc::ok) on_room_timer();
  write();
}

void CheckpointSchedule::refuse_waiting(const Error& error) {
  wanted_ = false;
  for (const Done& waiter : std::exchange(waiting_for_next_, {})) waiter(fail(error));
}

void CheckpointSchedule::note_progress(std::uint64_t bytes) {
  bytes_since_ += bytes;
  if (!running_) return;
  if (bytes_since_ >= options_.checkpoint_interval_bytes) return request({});
  environment_.timers.arm(idle_timer_, environment_.clock.now() + options_.checkpoint_idle);
}

void CheckpointSchedule::on_idle() {
  if (bytes_since_ != 0) request({});
}

void CheckpointSchedule::request(Done done) {
  if (done) waiting_for_next_.push_back(std::move(done));
  wanted_ = true;
  write();
}

void CheckpointSchedule::move_start(Offset start, Done done) {
  pending_start_ = std::max(pending_start_, start);
  request(std::move(done));
}

void CheckpointSchedule::write() {
  if (file_.busy()) return;
  if (commit_waits_) {
    if (!has_room()) return ask_for_room();
    answer_commit({});
  }
  if (!wanted_ || !running_) return;
  wanted_ = false;
  bytes_since_ = 0;
  idle_timer_.cancel();
  waiting_ = std::exchange(waiting_for_next_, {});
  file_.write(contents(),
              [this, start = pending_start_](auto written) { on_written(written, start); });
}

void CheckpointSchedule::on_written(const Result<void>& written, Offset start) {
  if (written) {
    const Offset other_slot = std::exchange(saved_start_, start);
    state_.start_offset = std::max(state_.start_offset, start);
    if (other_slot < start) wanted_ = true;
    owner_.on_start_saved(std::min(other_slot, start));
  } else {
    diag::warn("log", "{}: checkpoint not written: {}", identity_.directory, written.error().text);
  }
  for (const Done& waiter : std::exchange(waiting_, {})) waiter(written);
  write();
  owner_.on_ended();
}

bool CheckpointSchedule::has_room(std::size_t sessions) const {
  return room_for(sessions) <= std::max(file_.room(), room_given_up_);
}

bool CheckpointSchedule::has_room() const { return has_room(state_.producers.size()); }

void CheckpointSchedule::make_room() {
  commit_waits_ = true;
  if (!file_.busy()) ask_for_room();
}

// For the sessions that there are, and only then for one more: those that a restart found have
// their blocks, and get them also when the disk is full.
void CheckpointSchedule::ask_for_room() {
  room_asked_ = room_for(state_.producers.size() + (has_room() ? 1 : 0));
  file_.reserve(room_asked_, [this](auto made) { on_reserved(made); });
}

Result<void> CheckpointSchedule::admit_session(std::uint64_t producer_id) {
  if (room_error_.code == Errc::ok || producer_id == 0) return {};
  if (state_.producers.find(producer_id) != nullptr) return {};
  const std::size_t sessions = state_.producers.size() + 1;
  if (has_room(sessions)) return {};
  return fail(room_error_.code,
              fmt::format("no space to remember one more producer session of {}/{}: its checkpoint "
                          "needs {} KiB for {} of them ({}); free space or trim topics, the "
                          "sessions that are known go on",
                          identity_.topic_name, identity_.partition, 2 * room_for(sessions) / KiB,
                          sessions, room_error_.text));
}

void CheckpointSchedule::on_room_timer() {
  if (!state_.refusal.empty()) return;  // nothing is appended any more
  if (!file_.busy()) return ask_for_room();
  environment_.timers.arm(room_timer_, environment_.clock.now() + room_pause);
}

// A disk that refuses for another reason than want of space costs the promise that space can be
// made when there is none, and not the appends: what else it refuses, they meet themselves.
void CheckpointSchedule::on_reserved(const Result<void>& reserved) {
  const bool passes = !reserved && (reserved.error().code == Errc::storage_full ||
                                    reserved.error().code == Errc::overloaded);
  if (!reserved && !passes) {
    diag::warn("log", "{}: no room for checkpoints ahead: {}", identity_.directory,
               reserved.error().text);
    room_given_up_ = std::max(room_given_up_, room_asked_);
  }
  if (passes) room_error_ = reserved.error();
  if (has_room(state_.producers.size() + 1)) room_error_ = {};
  if (room_error_.code != Errc::ok && running_)
    environment_.timers.arm(room_timer_, environment_.clock.now() + room_pause);
  // What was asked for ahead may be refused while those that wait have their room.
  if (commit_waits_ && (has_room() || passes))
    answer_commit(has_room() ? Result<void>{} : reserved);
  write();
  owner_.on_ended();
}

void CheckpointSchedule::answer_commit(const Result<void>& made) {
  commit_waits_ = false;
  owner_.on_room_made(made);
}

Checkpoint CheckpointSchedule::contents() const {
  Checkpoint checkpoint;
  checkpoint.topic_id = identity_.topic_id;
  checkpoint.partition = identity_.partition;
  checkpoint.start_offset = pending_start_;
  checkpoint.durable_end = state_.durable_end;
  checkpoint.last_append_time = state_.last_append_time;
  checkpoint.last_crc = state_.last_crc;
  if (const auto place = tail_.durable_place()) {
    checkpoint.segment_base = place->segment_base;
    checkpoint.segment_id = place->segment_id;
    checkpoint.scan_position = place->position;
    checkpoint.last_crc = place->last_crc;
  }
  // Only what is durable may count as a duplicate after a crash.
  checkpoint.producers = state_.producers.saved(state_.durable_end);
  return checkpoint;
}

// Without a place to scan from: recovery reads the segments that hold the end from their start. A
// start that nobody was told of yet, and that would go beyond the new end, is for another day.
Checkpoint CheckpointSchedule::lowered_to(Offset end) {
  if (pending_start_ > end) pending_start_ = state_.start_offset;
  Checkpoint checkpoint = contents();
  checkpoint.durable_end = end;
  checkpoint.segment_id = 0;
  checkpoint.segment_base = Offset{0};
  checkpoint.producers = state_.producers.saved(end);
  return checkpoint;
}

}  // namespace millrace
