#include "merged_reader.h"

#include "interrupt.h"

#include <algorithm>
#include <chrono>

namespace millrace::cli {

using namespace std::chrono_literals;

namespace {

constexpr auto later = [](const auto* a, const auto* b) {
  const EventView& x = a->events[a->at];
  const EventView& y = b->events[b->at];
  return x.time_ns != y.time_ns ? x.time_ns > y.time_ns : x.partition > y.partition;
};

// Memory for what is read ahead is shared by the partitions.
std::uint32_t credit_bytes(std::size_t partitions) {
  constexpr std::size_t all_bytes = 128 * 1024 * 1024, least = 64 * 1024, most = 8 * 1024 * 1024;
  return static_cast<std::uint32_t>(
      std::clamp(all_bytes / std::max<std::size_t>(partitions, 1), least, most));
}

}  // namespace

Outcome<MergedReader> MergedReader::open(const Client& client, const std::string& topic,
                                         const std::vector<std::uint32_t>& partitions,
                                         const PlaceRange& range) {
  MergedReader merged(topic);
  ReaderOptions options;
  options.credit_bytes = credit_bytes(partitions.size());
  const Place end = range.end.value_or(Place::from_end());
  for (const std::uint32_t partition : partitions) {
    auto reader = Reader::open(client, topic, {ReadFrom{partition, range.begin, end}}, options);
    if (!reader) return std::unexpected(reader.error());
    merged.lanes_.push_back(std::make_unique<Lane>(Lane{std::move(*reader), {}, 0}));
  }
  for (const auto& lane : merged.lanes_) {
    if (merged.refill(*lane)) merged.push(lane.get());
  }
  return merged;
}

const EventView* MergedReader::next() {
  if (current_ != nullptr) {
    Lane* lane = current_;
    current_ = nullptr;
    ++lane->at;
    if (lane->at < lane->events.size() || refill(*lane)) push(lane);
  }
  if (failed_ || heap_.empty() || interrupted()) return nullptr;
  std::pop_heap(heap_.begin(), heap_.end(), later);
  current_ = heap_.back();
  heap_.pop_back();
  return &current_->events[current_->at];
}

bool MergedReader::refill(Lane& lane) {
  while (!lane.reader.finished() && !interrupted()) {
    auto batch = lane.reader.next(250ms);
    if (!batch) {
      if (faults_.survives(batch.error())) continue;
      failed_ = true;
      return false;
    }
    if (batch->events.empty()) continue;
    faults_.on_progress();
    lane.events = batch->events;
    lane.at = 0;
    return true;
  }
  return false;
}

void MergedReader::push(Lane* lane) {
  heap_.push_back(lane);
  std::push_heap(heap_.begin(), heap_.end(), later);
}

}  // namespace millrace::cli
