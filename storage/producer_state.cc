#include "storage/producer_state.h"

#include <algorithm>
#include <utility>

namespace millrace {

const ProducerState* ProducerStates::find(std::uint64_t producer_id) const {
  const auto found = states_.find(producer_id);
  return found == states_.end() ? nullptr : &found->second;
}

void ProducerStates::note(const BatchHeader& header) {
  if (header.producer_id == 0) return;
  auto [place, added] = states_.try_emplace(header.producer_id);
  ProducerState& state = place->second;
  state.producer_id = header.producer_id;
  if (!added && header.producer_epoch != state.epoch) {
    state.earlier.push_back({state.epoch, std::exchange(state.recent, {})});
    if (state.earlier.size() > ProducerState::earlier_max) state.earlier.pop_front();
  }
  state.epoch = header.producer_epoch;
  state.recent.push_back({header.sequence, header.event_count, body_checksum(header),
                          header.base_offset, header.append_time});
  if (state.recent.size() > ProducerState::recent_max) state.recent.pop_front();
  if (!added || states_.size() <= producers_max) return;
  const auto oldest =
      std::min_element(states_.begin(), states_.end(), [](const auto& a, const auto& b) {
        return a.second.recent.back().base_offset < b.second.recent.back().base_offset;
      });
  states_.erase(oldest);
}

void ProducerStates::truncate(Offset end) {
  for (auto it = states_.begin(); it != states_.end();) {
    ProducerState& state = it->second;
    auto& recent = state.recent;
    for (;;) {
      while (!recent.empty() && recent.back().base_offset >= end) recent.pop_back();
      if (!recent.empty() || state.earlier.empty()) break;
      state.epoch = state.earlier.back().epoch;
      recent = std::move(state.earlier.back().recent);
      state.earlier.pop_back();
    }
    it = recent.empty() ? states_.erase(it) : std::next(it);
  }
}

std::vector<CheckpointProducer> ProducerStates::saved(Offset end) const {
  ProducerStates kept = *this;
  kept.truncate(end);
  std::vector<CheckpointProducer> out;
  out.reserve(kept.states_.size());
  for (const auto& [id, state] : kept.states_) {
    const auto count = std::min(state.recent.size(), ProducerState::window);
    out.push_back({id,
                   state.epoch,
                   {state.recent.end() - static_cast<std::ptrdiff_t>(count), state.recent.end()}});
  }
  return out;
}

void ProducerStates::restore(const std::vector<CheckpointProducer>& saved) {
  states_.clear();
  for (const auto& producer : saved) {
    if (producer.batches.empty()) continue;
    states_.emplace(producer.producer_id,
                    ProducerState{producer.producer_id,
                                  producer.epoch,
                                  {producer.batches.begin(), producer.batches.end()},
                                  {}});
  }
}

}  // namespace millrace
