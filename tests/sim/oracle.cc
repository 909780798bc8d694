#include "tests/sim/oracle.h"

#include <fmt/core.h>

namespace millrace::sim {

void Oracle::fail(std::string_view promise, std::string text) {
  if (!finding_) finding_ = Finding{std::string(promise), std::move(text)};
}

std::optional<TopicIndex> Oracle::find_topic(const TopicId& id) const {
  for (TopicIndex i = 0; i < topics.size(); ++i) {
    if (topics[i].id == id) return i;
  }
  return std::nullopt;
}

std::optional<TopicIndex> Oracle::find_standing(std::string_view name) const {
  for (TopicIndex i = topics.size(); i > 0; --i) {
    if (topics[i - 1].name == name && topics[i - 1].state != TopicRecord::State::gone) return i - 1;
  }
  return std::nullopt;
}

std::string place_text(const Oracle& oracle, TopicIndex topic, PartitionIndex partition) {
  const TopicRecord& record = oracle.topics[topic];
  return fmt::format("topic {} ({}) partition {}", record.name, record.id.to_hex(), partition);
}

}  // namespace millrace::sim
