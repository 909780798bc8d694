#include "storage/format/checkpoint_layout.h"
#include "tests/sim/checks.h"

#include <fmt/core.h>

namespace millrace::sim {

// Headers of all segments, both states of each checkpoint, and of each partition the segments since
// its last checkpoint, which is written at each roll.
void check_g9_restart_read(Oracle& oracle, std::uint64_t bytes_read, std::uint64_t segments) {
  if (!oracle.is_calm) return;
  std::uint64_t bound = segments * 4096;
  for (const auto& topic : oracle.topics) {
    if (topic.state == TopicRecord::State::gone) continue;
    const std::uint64_t tail = 3 * (topic.log.segment_bytes + topic.log.batch_bytes_max);
    bound += 64 * KiB + topic.parts.size() * (2 * checkpoint_layout::slot_bytes + tail);
  }
  if (bytes_read <= bound) return;
  oracle.fail("G9",
              fmt::format("a restart read {} bytes, the tails are at most {}", bytes_read, bound));
}

}  // namespace millrace::sim
