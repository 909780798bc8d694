#include "storage/segment_pool.h"

#include "storage/base/check.h"
#include "storage/log_files.h"

#include <fmt/core.h>

#include <charconv>

namespace millrace {

namespace {
constexpr std::string_view free_suffix = ".free";
constexpr std::string_view moving_suffix = ".moving";
constexpr std::string_view index_suffix = ".moving.index";

// The number of a name that is one of ours with this suffix.
std::optional<std::uint64_t> parse_name(std::string_view name, std::string_view suffix) {
  if (!name.ends_with(suffix)) return std::nullopt;
  name.remove_suffix(suffix.size());
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error != std::errc{} || end != name.data() + name.size()) return std::nullopt;
  return number;
}
}  // namespace

SegmentPool::SegmentPool(Disk& disk, std::string directory, std::uint64_t bytes_max)
    : disk_(disk),
      directory_(std::move(directory)),
      bytes_max_(bytes_max),
      io_(this, Completion::to<&SegmentPool::on_step, SegmentPool>()) {}

void SegmentPool::open(std::function<void(Result<void>)> done) {
  done_ = std::move(done);
  stage_ = Stage::make;
  disk_.make_directory(io_, directory_);
}

void SegmentPool::on_step(IoResult result) {
  const auto finish = [&](Result<void> outcome) {
    stage_ = Stage::idle;
    entries_.clear();
    auto done = std::move(done_);
    done(std::move(outcome));
  };
  switch (stage_) {
    case Stage::make:
      if (!result && result.error().code != Errc::already_exists)
        return finish(fail(result.error()));
      // A name that a killed process left behind may come back after a loss of power: the list is
      // of what is durable.
      stage_ = Stage::sync;
      return disk_.sync_directory(io_, directory_);
    case Stage::sync:
      if (!result) return finish(fail(result.error()));
      stage_ = Stage::list;
      return disk_.list(io_, directory_, entries_);
    case Stage::list:
      if (!result) return finish(fail(result.error()));
      at_entry_ = 0;
      return next_entry();
    case Stage::open:
      if (!result) return next_entry();  // not a file of ours, or gone: not offered
      file_ = FileId{static_cast<std::int32_t>(*result)};
      stage_ = Stage::size;
      return disk_.file_size(io_, file_);
    case Stage::size:
      stage_ = Stage::close;
      if (result && reserve(*result)) {
        put({join_path(directory_, entries_[at_entry_ - 1].name), *result});
      } else if (result) {
        stage_ = Stage::close_surplus;
      }
      return disk_.close(io_, file_);
    case Stage::close_surplus:
      stage_ = Stage::remove;
      return disk_.remove(io_, join_path(directory_, entries_[at_entry_ - 1].name));
    case Stage::close:
    case Stage::remove:  // or it stays, and is no worse than a name that nobody takes
      return next_entry();
    case Stage::shrink:
      stage_ = Stage::idle;
      if (result) return set_keeping(keeping_);
      // Until somebody says again that nothing is to be kept; the others have their turn first.
      if (result.error().code != Errc::not_found) {
        bytes_ += shrinking_.bytes;
        files_.insert(files_.begin(), std::move(shrinking_));
      }
      return;
    case Stage::idle: break;
  }
  UNREACHABLE("the segment pool completed an I/O it never started");
}

void SegmentPool::next_entry() {
  while (at_entry_ < entries_.size()) {
    const DirectoryEntry& entry = entries_[at_entry_++];
    if (entry.kind != DirectoryEntry::Kind::file) continue;
    for (const std::string_view suffix : {free_suffix, moving_suffix, index_suffix}) {
      const auto number = parse_name(entry.name, suffix);
      if (!number) continue;
      next_name_ = std::max(next_name_, *number + 1);
      const auto path = join_path(directory_, entry.name);
      stage_ = suffix == free_suffix ? Stage::open : Stage::remove;
      return stage_ == Stage::open ? disk_.open(io_, path, OpenMode::read, Disk::Access::direct)
                                   : disk_.remove(io_, path);
    }
  }
  stage_ = Stage::idle;
  entries_.clear();
  auto done = std::move(done_);
  done({});
}

std::string SegmentPool::fresh_name() { return fmt::format("{}{}", next_name_++, moving_suffix); }

std::string SegmentPool::free_path(std::string_view moving_path) {
  CHECK(moving_path.ends_with(moving_suffix), "a name that the pool has made");
  moving_path.remove_suffix(moving_suffix.size());
  return fmt::format("{}{}", moving_path, free_suffix);
}

std::optional<SegmentPool::Pooled> SegmentPool::take() {
  if (files_.empty()) return std::nullopt;
  Pooled file = std::move(files_.back());
  files_.pop_back();
  bytes_ -= file.bytes;
  return file;
}

void SegmentPool::set_keeping(bool keeping) {
  keeping_ = keeping;
  if (keeping_ || !idle()) return;
  auto file = take();
  if (!file) return;
  stage_ = Stage::shrink;
  shrinking_ = std::move(*file);
  disk_.remove(io_, shrinking_.path);
}

bool SegmentPool::reserve(std::uint64_t bytes) {
  if (!keeping_ || bytes_ + bytes > bytes_max_) return false;
  bytes_ += bytes;
  return true;
}

void SegmentPool::cancel(std::uint64_t bytes) {
  CHECK(bytes_ >= bytes, "what is given back was reserved");
  bytes_ -= bytes;
}

}  // namespace millrace
