#include "storage/producer_state.h"

#include <algorithm>

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
  if (added || header.producer_epoch != state.epoch) {
    state.epoch = header.producer_epoch;
    state.recent.clear();
  }
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
    auto& recent = it->second.recent;
    while (!recent.empty() && recent.back().base_offset >= end) recent.pop_back();
    it = recent.empty() ? states_.erase(it) : std::next(it);
  }
}

std::vector<CheckpointProducer> ProducerStates::saved(Offset end) const {
  std::vector<CheckpointProducer> out;
  out.reserve(states_.size());
  for (const auto& [id, state] : states_) {
    const auto behind =
        std::find_if(state.recent.begin(), state.recent.end(),
                     [&](const ProducedBatch& batch) { return batch.base_offset >= end; });
    if (behind == state.recent.begin()) continue;
    out.push_back({id, state.epoch, {state.recent.begin(), behind}});
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
                                  {producer.batches.begin(), producer.batches.end()}});
  }
}

}  // namespace millrace
