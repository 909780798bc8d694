#include "broker/meta/topic_paths.h"
#include "storage/log_files.h"
#include "tests/sim/checks.h"

#include <fmt/core.h>

#include <algorithm>
#include <string>
#include <string_view>

namespace millrace::sim {
namespace {

std::string segment_of(const Oracle& oracle, const SimDisk& disk, TopicIndex topic,
                       PartitionIndex partition, std::uint64_t offset) {
  const auto directory = partition_path(topic_path(oracle.topics[topic].id), partition);
  const auto name = disk.floor_name(directory, segment_file_name(Offset{offset}), ".segment");
  return name.empty() ? name : join_path(directory, name);
}

}  // namespace

// The body lies somewhere in the durable bytes of the segment that holds its offset.
void check_g1_ack_is_on_disk(Oracle& oracle, const SimDisk& disk, const SentBatch& batch,
                             std::uint64_t base) {
  const PartitionRecord& part = oracle.topics[batch.topic].parts[batch.partition];
  if (part.was_lied_to || base < part.start_told) return;
  const auto path = segment_of(oracle, disk, batch.topic, batch.partition, base);
  const auto where = place_text(oracle, batch.topic, batch.partition);
  const auto* file = path.empty() ? nullptr : disk.durable_file(path);
  if (file == nullptr) {
    return oracle.fail("G1", fmt::format("{}: offset {} is acked and the name of its segment '{}' "
                                         "is not durable",
                                         where, base, path));
  }
  const ByteView body = ByteView(batch.bytes).subspan(batch_layout::header_bytes);
  const auto text = [](ByteView bytes) {
    return std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  };
  if (text(*file).find(text(body)) == std::string_view::npos) {
    oracle.fail("G1", fmt::format("{}: offset {} is acked and not on the medium (batch {})", where,
                                  base, batch.tag));
  }
}

void check_g1_bounds(Oracle& oracle, TopicIndex topic, PartitionIndex partition,
                     std::uint64_t start, std::uint64_t end) {
  PartitionRecord& part = oracle.topics[topic].parts[partition];
  if (part.was_lied_to) return;
  const auto where = place_text(oracle, topic, partition);
  if (start < part.start_told && !part.lost_checkpoint) {
    oracle.fail(
        "G1", fmt::format("{}: the start went back from {} to {}", where, part.start_told, start));
  }
  if (end < part.end_told) {
    oracle.fail("G1",
                fmt::format("{}: the end went back from {} to {}", where, part.end_told, end));
  }
  if (end < start)
    oracle.fail("G1", fmt::format("{}: the end {} is below the start {}", where, end, start));
  part.start_told = start;
  part.end_told = std::max(part.end_told, end);
}

void check_g1_all_there(Oracle& oracle, const FullRead& read) {
  const PartitionRecord& part = oracle.topics[read.topic].parts[read.partition];
  if (part.was_lied_to) return;
  const auto where = place_text(oracle, read.topic, read.partition);
  for (auto at = part.placed.lower_bound(read.start); at != part.placed.end(); ++at) {
    const auto& [base, placed] = *at;
    if (read.batches.contains(base)) continue;
    const bool is_hole = std::any_of(
        read.holes.begin(), read.holes.end(),
        [&, b = base](const auto& hole) { return hole.begin.value <= b && b < hole.end.value; });
    if (is_hole) continue;  // whether it may be one is G7's matter
    return oracle.fail("G1", fmt::format("{}: batch {} at offset {} was promised and is not there "
                                         "([{}, {}) can be read)",
                                         where, placed.tag, base, read.start, read.end));
  }
}

void check_g1_topics(Oracle& oracle, const TopicListReply& reply) {
  if (!oracle.is_calm) return;
  for (const auto& topic : oracle.topics) {
    if (topic.state != TopicRecord::State::standing || topic.is_served || topic.was_lied_to)
      continue;
    oracle.fail("G1", fmt::format("topic {} ({}) was created and is not among the {} that stand",
                                  topic.name, topic.id.to_hex(), reply.topics.size()));
  }
}

}  // namespace millrace::sim
