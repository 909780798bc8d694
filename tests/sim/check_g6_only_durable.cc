#include "broker/meta/topic_paths.h"
#include "storage/format/checkpoint_layout.h"
#include "storage/log_files.h"
#include "tests/sim/checks.h"

#include <fmt/core.h>

#include <algorithm>

namespace millrace::sim {
namespace {

// Where the log starts, as its checkpoint says on the medium.
Offset durable_start(const SimDisk& disk, const std::string& directory) {
  const auto* file = disk.durable_file(join_path(directory, checkpoint_file_name));
  Offset start{0};
  for (std::size_t at = 0; file != nullptr && at < file->size();
       at += checkpoint_layout::slot_bytes) {
    const auto slot =
        ByteView(*file).subspan(at, std::min(file->size() - at, checkpoint_layout::slot_bytes));
    if (const auto checkpoint = decode_checkpoint(slot))
      start = std::max(start, checkpoint->start_offset);
  }
  return start;
}

}  // namespace

// Every byte of it, the header of its segment and every name on the way lie on the medium now.
void check_g6_is_durable(Oracle& oracle, const SimDisk& disk, const Delivery& delivery) {
  const PartitionRecord& part = oracle.topics[delivery.topic].parts[delivery.partition];
  if (part.was_lied_to) return;
  const BatchHeader& header = delivery.batch.header();
  const auto directory =
      partition_path(topic_path(oracle.topics[delivery.topic].id), delivery.partition);
  const auto name = disk.floor_name(directory, segment_file_name(header.base_offset), ".segment");
  // Retention, or the topic's deletion, may take a file while its bytes are on their way to a
  // reader.
  if (header.end_offset() <= durable_start(disk, directory)) return;
  if (name.empty() && oracle.topics[delivery.topic].state != TopicRecord::State::standing) return;
  const auto path = join_path(directory, name);
  const auto* live = disk.live_file(path);
  const bool is_there = !name.empty() && live != nullptr;
  if (is_there && live->size() < header.position + header.batch_bytes()) return;
  const auto* file = is_there ? disk.durable_file(path) : nullptr;
  const auto holds = [&](std::uint64_t at, ByteView bytes) {
    return at + bytes.size() <= file->size() &&
           std::equal(bytes.begin(), bytes.end(), file->begin() + static_cast<std::ptrdiff_t>(at));
  };
  // Bytes that changed under a reader's eyes were durable when they were read.
  if (part.is_rotten && file != nullptr) return;
  const bool durable = file != nullptr && holds(0, ByteView(*live).first(4096)) &&
                       holds(header.position, delivery.batch.bytes());
  if (durable) return;
  oracle.fail("G6",
              fmt::format("{}: {} gave batch {} at offset {}, which a loss of power now would "
                          "take ({} at position {}{})",
                          place_text(oracle, delivery.topic, delivery.partition), delivery.who,
                          Oracle::tag_of(header), header.base_offset.value, path, header.position,
                          file == nullptr ? ", whose name is not durable" : ""));
}

}  // namespace millrace::sim
