#include "broker/topic.h"

namespace millrace {

std::uint64_t Topic::bytes() const {
  std::uint64_t bytes = 0;
  for (const auto& partition : partitions) bytes += partition->log().bytes();
  return bytes;
}

std::uint64_t Topic::events() const {
  std::uint64_t events = 0;
  for (const auto& partition : partitions) {
    events += partition->committed_end() - partition->log().start_offset();
  }
  return events;
}

TopicInfoReply Topic::info() const {
  TopicInfoReply info;
  info.name = meta.name;
  info.id = meta.id;
  info.partitions = meta.partitions;
  info.created = meta.created;
  info.settings = topic_settings_text(settings);
  info.batch_bytes_max = settings.log.batch_bytes_max;
  return info;
}

}  // namespace millrace
