#include "storage/checkpoint.h"

#include "storage/base/call_last.h"
#include "storage/base/check.h"
#include "storage/base/diag.h"
#include "storage/batch_scan.h"
#include "storage/log_files.h"

#include <algorithm>
#include <cstring>

namespace millrace {

namespace layout = checkpoint_layout;

namespace {
// Holds a few producers' states; a longer slot is read again in full.
constexpr std::size_t first_read_bytes = 16 * KiB;
}  // namespace

CheckpointFile::CheckpointFile(Disk& disk, SlabPool& slabs, std::string directory)
    : disk_(disk),
      slabs_(slabs),
      directory_(std::move(directory)),
      io_(this, Completion::to<&CheckpointFile::step, CheckpointFile>()) {}

void CheckpointFile::load(TopicId topic, PartitionIndex partition, Loaded done) {
  CHECK(!busy(), "one checkpoint operation at a time");
  topic_ = topic;
  partition_ = partition;
  loaded_ = std::move(done);
  best_.reset();
  name_is_durable_ = false;
  lost_slots_ = 0;
  load_error_ = {};
  generation_ = 0;
  room_ = 0;
  stage_ = Stage::load_open;
  disk_.open(io_, join_path(directory_, checkpoint_file_name), OpenMode::read,
             Disk::Access::direct);
}

void CheckpointFile::write(Checkpoint next, Written done) {
  CHECK(!busy(), "one checkpoint operation at a time");
  written_ = std::move(done);
  next.generation = ++generation_;
  const std::vector<std::byte> bytes = encode_checkpoint(next);
  slab_ = slabs_.take(bytes.size());
  CHECK(!slab_.empty(), "memory for a checkpoint");
  write_bytes_ = bytes.size();
  std::memcpy(slab_.slab()->data(), bytes.data(), bytes.size());
  open_or_create(Stage::write);
}

void CheckpointFile::reserve(std::size_t bytes, Written done) {
  CHECK(!busy(), "one checkpoint operation at a time");
  CHECK(bytes <= layout::slot_bytes, "a slot is what can be reserved");
  written_ = std::move(done);
  room_wanted_ = align_up(bytes, Disk::direct_alignment);
  open_or_create(Stage::reserve_first);
}

void CheckpointFile::open_or_create(Stage then) {
  opened_for_ = then;
  stage_ = Stage::open;
  disk_.open(io_, join_path(directory_, checkpoint_file_name), OpenMode::write,
             Disk::Access::direct);
}

void CheckpointFile::step(IoResult io) {
  stage_ < Stage::open ? step_load(std::move(io)) : step_write(std::move(io));
}

void CheckpointFile::step_load(IoResult io) {
  switch (stage_) {
    case Stage::load_open:
      if (!io) {
        stage_ = Stage::idle;
        if (io.error().code == Errc::not_found)
          return call_last(loaded_, std::optional<Checkpoint>{});
        return call_last(loaded_, fail(io.error()));
      }
      file_ = FileId{static_cast<std::int32_t>(*io)};
      name_is_durable_ = true;
      slot_ = 0;
      return read_slot(first_read_bytes);
    case Stage::load_read:
      if (!io) {
        ++lost_slots_;
        diag::warn("log", "{}: checkpoint slot {} cannot be read: {}", directory_, slot_,
                   io.error().text);
      } else {
        const std::size_t whole = slot_size(*io);
        if (whole > asked_bytes_ && *io == asked_bytes_) return read_slot(whole);
        take_slot(*io);
      }
      if (++slot_ < 2) return read_slot(first_read_bytes);
      slab_ = {};
      if (best_) {
        // A killed process, or one whose last write failed, may have left it in a cache; and what
        // it says will be told to consumers, segments are removed by it, and the next write goes
        // over the other slot.
        stage_ = Stage::load_sync;
        return disk_.sync_data(io_, file_);
      }
      stage_ = Stage::load_close;
      return disk_.close(io_, file_);
    case Stage::load_sync:
      if (!io) load_error_ = io.error();
      stage_ = Stage::load_close;
      return disk_.close(io_, file_);
    case Stage::load_close:
      stage_ = Stage::idle;
      if (load_error_.code != Errc::ok) return call_last(loaded_, fail(std::move(load_error_)));
      return call_last(loaded_, std::move(best_));
    default: break;
  }
  UNREACHABLE("a checkpoint completed an I/O it never started");
}

void CheckpointFile::step_write(IoResult io) {
  switch (stage_) {
    case Stage::open:
      if (!io && io.error().code == Errc::not_found) {
        name_is_durable_ = false;
        stage_ = Stage::create;
        return disk_.open(io_, join_path(directory_, checkpoint_file_name), OpenMode::create,
                          Disk::Access::direct);
      }
      return on_opened(std::move(io));
    case Stage::create: return on_opened(std::move(io));
    case Stage::write:
      slab_ = {};
      if (!io) return close_after(fail(io.error()));
      newest_slot_ = slot_;
      return sync_name();
    case Stage::reserve_first:
    case Stage::reserve_second:
    case Stage::reserve_sync: return step_reserve(std::move(io));
    case Stage::sync_name:
      if (!io) return close_after(fail(io.error()));
      name_is_durable_ = true;
      return close_after({});
    case Stage::close:
      stage_ = Stage::idle;
      if (opened_for_ == Stage::reserve_first && outcome_) room_ = std::max(room_, room_wanted_);
      return call_last(written_, std::move(outcome_));
    default: break;
  }
  UNREACHABLE("a checkpoint completed an I/O it never started");
}

void CheckpointFile::on_opened(IoResult io) {
  if (!io) {
    stage_ = Stage::idle;
    slab_ = {};
    return call_last(written_, fail(io.error()));
  }
  file_ = FileId{static_cast<std::int32_t>(*io)};
  stage_ = opened_for_;
  if (opened_for_ == Stage::write) return write_slot();
  disk_.preallocate(io_, file_, Position{0}, room_wanted_);
}

void CheckpointFile::write_slot() {
  slot_ = 1 - newest_slot_;
  const ByteView view = slab_.bytes().first(write_bytes_);
  disk_.write(io_, file_, Position{static_cast<std::uint64_t>(slot_) * layout::slot_bytes},
              {&view, 1}, WriteSync::yes);
}

void CheckpointFile::step_reserve(IoResult io) {
  if (!io) return close_after(fail(io.error()));
  switch (stage_) {
    case Stage::reserve_first:
      stage_ = Stage::reserve_second;
      return disk_.preallocate(io_, file_, Position{layout::slot_bytes}, room_wanted_);
    case Stage::reserve_second: stage_ = Stage::reserve_sync; return disk_.sync_data(io_, file_);
    default: return sync_name();
  }
}

void CheckpointFile::sync_name() {
  if (name_is_durable_) return close_after({});
  stage_ = Stage::sync_name;
  disk_.sync_directory(io_, directory_);
}

void CheckpointFile::close_after(Result<void> outcome) {
  outcome_ = std::move(outcome);
  stage_ = Stage::close;
  disk_.close(io_, file_);
}

// What the slot that was begun to be read says of its own size; a lie is caught by its checksum.
std::size_t CheckpointFile::slot_size(std::size_t bytes_read) const {
  if (bytes_read < layout::header_bytes) return 0;
  const auto body = load_le<std::uint32_t>(slab_.bytes().data() + 16);
  return align_up(std::min<std::size_t>(body, layout::slot_bytes), Disk::direct_alignment);
}

void CheckpointFile::read_slot(std::size_t bytes) {
  slab_ = slabs_.take(bytes);
  CHECK(!slab_.empty(), "memory for a checkpoint");
  asked_bytes_ = bytes;
  stage_ = Stage::load_read;
  disk_.read(io_, file_, Position{static_cast<std::uint64_t>(slot_) * layout::slot_bytes},
             {slab_.slab()->data(), bytes});
}

void CheckpointFile::take_slot(std::size_t bytes) {
  const ByteView view = slab_.bytes().first(bytes);
  auto slot = decode_checkpoint(view);
  if (slot && slot->topic_id == topic_ && slot->partition == partition_) {
    if (!best_ || slot->generation > best_->generation) {
      best_ = std::move(*slot);
      newest_slot_ = slot_;
      generation_ = best_->generation;
    }
    return;
  }
  // A slot that was never written is no fault.
  if (all_zero(view.first(std::min<std::size_t>(view.size(), layout::header_bytes)))) return;
  ++lost_slots_;
  diag::warn("log", "{}: checkpoint slot {} is not used: {}", directory_, slot_,
             slot ? std::string("it belongs to another log") : slot.error().text);
}

}  // namespace millrace
