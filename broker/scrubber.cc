#include "broker/scrubber.h"

#include "broker/meta/catalog.h"
#include "storage/base/diag.h"

#include <algorithm>

namespace millrace {
namespace {

// One read: enough for a disk to be quick, little enough not to be in anybody's way.
constexpr std::size_t read_bytes = 512 * KiB;
// Between two looks at partitions that have nothing to read.
constexpr Duration short_pause = milliseconds(10);
constexpr int partitions_per_step = 1000;

}  // namespace

Scrubber::Scrubber(const Core& core, const Catalog& catalog)
    : core_(core),
      catalog_(catalog),
      timer_(this, [](void* self) { static_cast<Scrubber*>(self)->step(); }) {}

void Scrubber::start() {
  if (core_.options.scrub_bytes_per_second == 0) return;
  pass_begin_ = core_.environment.clock.now();
  core_.environment.timers.arm(timer_, pass_begin_ + short_pause);
}

void Scrubber::stop() {
  timer_.cancel();
  read_.reset();
  reading_ = nullptr;
}

void Scrubber::leave(const Partition& partition) {
  if (reading_ != &partition) return;
  read_.reset();
  reading_ = nullptr;
  next_partition();
  core_.environment.timers.arm(timer_, core_.environment.clock.now() + short_pause);
}

void Scrubber::step() {
  for (int looks = 0; looks < partitions_per_step; ++looks) {
    Partition* const partition = find_place();
    if (partition == nullptr) return end_pass();
    if (!partition->check_open()) {
      next_partition();
      continue;
    }
    const Log& log = partition->log();
    if (!std::exchange(entered_, true)) {
      offset_ = log.start_offset();
      end_ = log.durable_end();
    }
    offset_ = std::max(offset_, log.start_offset());  // retention may have moved it
    if (offset_ >= std::min(end_, log.durable_end())) {
      next_partition();
      continue;
    }
    reading_ = partition;
    read_ = partition->log().verify(offset_, read_bytes,
                                    [this](auto read) { on_read(std::move(read)); });
    return;
  }
  core_.environment.timers.arm(timer_, core_.environment.clock.now() + short_pause);
}

// The partition at the place, or the next one there is: topics come and go during a pass.
Partition* Scrubber::find_place() {
  const auto& topics = catalog_.by_name();
  for (auto it = topics.lower_bound(topic_); it != topics.end(); ++it) {
    if (it->first != topic_) {
      topic_ = it->first;
      partition_ = 0;
      entered_ = false;
    }
    if (partition_ < it->second->partitions.size()) return it->second->partitions[partition_].get();
  }
  return nullptr;
}

void Scrubber::next_partition() {
  ++partition_;
  entered_ = false;
}

void Scrubber::end_pass() {
  core_.environment.metrics.scrub_passes.add();
  topic_.clear();
  partition_ = 0;
  entered_ = false;
  const Instant now = core_.environment.clock.now();
  pass_begin_ = std::max(pass_begin_ + core_.options.scrub_interval, now + seconds(1));
  core_.environment.timers.arm(timer_, pass_begin_);
}

void Scrubber::on_read(Result<ReadResult> read) {
  reading_ = nullptr;
  read_.reset();
  if (!read) return on_fault(read.error());
  std::uint64_t bytes = 0;
  for (const Buffer& buffer : read->buffers) bytes += buffer.size();
  core_.environment.metrics.scrubbed_bytes.add(bytes);
  if (read->next_offset <= offset_) {
    next_partition();  // nothing more there
  } else {
    offset_ = read->next_offset;
  }
  pause_for(bytes);
}

void Scrubber::on_fault(const Error& error) {
  switch (error.code) {
    case Errc::corrupt:  // fenced and told by the log; the rest of it is read all the same
      core_.environment.metrics.scrub_faults.add();
      offset_ = std::max(offset_ + 1, Offset{error.range_end});
      break;
    case Errc::offset_out_of_range:  // removed while it was being read
      offset_ = std::max(offset_, Offset{error.range_begin});
      break;
    default:
      core_.environment.metrics.scrub_faults.add();
      diag::warn("scrub", "{}/{} cannot be read from offset {} on: {}; left for the next pass",
                 topic_, partition_, offset_.value, error.text);
      next_partition();
  }
  pause_for(read_bytes);
}

void Scrubber::pause_for(std::uint64_t bytes) {
  // A rate of at most a few GiB/s times a read of less than a GiB: no overflow.
  const std::uint64_t ns = bytes * 1'000'000'000 / core_.options.scrub_bytes_per_second;
  const Duration pause = std::max(Duration{static_cast<std::int64_t>(ns)}, milliseconds(1));
  core_.environment.timers.arm(timer_, core_.environment.clock.now() + pause);
}

}  // namespace millrace
