#include "broker/disk_watch.h"

#include "broker/meta/setting_text.h"
#include "storage/base/diag.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

namespace millrace {
namespace {

constexpr std::string_view channel = "disk";

std::uint64_t used_percent(const Disk::Space& space) {
  if (space.total_bytes == 0) return 0;
  const std::uint64_t used = space.total_bytes - std::min(space.free_bytes, space.total_bytes);
  // Divided first: a hundred times a size may not fit, and a hundredth of a file system is not
  // small.
  const std::uint64_t hundredth = std::max<std::uint64_t>(space.total_bytes / 100, 1);
  return used / hundredth;
}

}  // namespace

DiskWatch::State DiskWatch::state_of(const Disk::Space& space) const {
  const std::uint64_t used = used_percent(space);
  if (used >= options_.disk_refuse_percent) return State::refuse;
  if (used >= options_.disk_warn_percent) return State::warn;
  return State::fine;
}

void DiskWatch::look(Writes writes) {
  // While none is taken, none can meet anything: what the last ones met is still the reason.
  if (writes == Writes::met_no_space || state_ != State::refuse) writes_ = writes;
  const auto space = disk_.space();
  // Not knowing is no reason to refuse: a full disk then says so by itself.
  if (space) note(*space);
  metrics_.appends_paused.set(lacks_space() ? 1 : 0);
}

void DiskWatch::note(const Disk::Space& space) {
  metrics_.disk_free_bytes.set(space.free_bytes);
  metrics_.disk_total_bytes.set(space.total_bytes);
  const State before = std::exchange(state_, state_of(space));
  metrics_.disk_watermark_state.set(static_cast<std::uint64_t>(state_));
  refusal_ = state_ == State::refuse ? refusal_text(space) : std::string();
  if (state_ != before) tell(space);
}

std::string DiskWatch::refusal_text(const Disk::Space& space) const {
  const bool none_left = writes_ == Writes::met_no_space || space.free_bytes == 0;
  return fmt::format(
      "{}: {} % used, {} free, disk.refuse_percent = {}; free space, trim or delete topics: "
      "producing goes on by itself",
      none_left ? "no space left on the disk"
                : "the disk is fuller than disk.refuse_percent allows",
      used_percent(space), size_text(space.free_bytes >> 10 << 10), options_.disk_refuse_percent);
}

void DiskWatch::tell(const Disk::Space& space) const {
  const std::string size = size_text(space.free_bytes >> 20 << 20);
  switch (state_) {
    case State::fine:
      return diag::info(channel, "{} % used, {} free: below the watermarks again",
                        used_percent(space), size);
    case State::warn:
      return diag::warn(channel, "{} % used, {} free: above {} %; producing is refused above {} %",
                        used_percent(space), size, options_.disk_warn_percent,
                        options_.disk_refuse_percent);
    case State::refuse:
      return diag::error(
          channel, "{} % used, {} free: above {} %, so producing is refused until there is space",
          used_percent(space), size, options_.disk_refuse_percent);
  }
}

}  // namespace millrace
