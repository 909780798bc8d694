#include "storage/inspect/partition_files.h"

#include "storage/data_directory.h"
#include "storage/inspect/file_reader.h"
#include "storage/inspect/segment_walk.h"
#include "storage/inspect/topic_meta_file.h"
#include "storage/log_files.h"

#include <fmt/core.h>

#include <algorithm>

namespace millrace::inspect {
namespace {

constexpr const char* topics_directory = "topics";

std::optional<TopicMetaFile> newest_meta(const std::string& topic_path) {
  std::optional<TopicMetaFile> best;
  for (const char* name : {"/topic.meta.0", "/topic.meta.1"}) {
    const auto reader = FileReader::open(topic_path + name);
    if (!reader) continue;
    const auto bytes = reader->read_front(topic_meta_file_bytes_max);
    if (!bytes) continue;
    auto meta = decode_topic_meta_file(*bytes);
    if (meta && (!best || meta->generation > best->generation)) best = std::move(*meta);
  }
  return best;
}

Result<void> find_topic(PartitionFiles& files, const std::string& topic) {
  const auto names = list_directory(files.full(topics_directory));
  if (!names)
    return fail(Errc::not_found,
                fmt::format("{} has no topics; name the data directory of a broker", files.root));
  for (const std::string& name : *names) {
    if (!Uuid::from_hex(name, files.topic_id)) continue;
    const std::string path = fmt::format("{}/{}", topics_directory, name);
    const auto meta = newest_meta(files.full(path));
    if (name != topic && (!meta || meta->name != topic)) continue;
    files.topic_name = meta ? meta->name : std::string();
    files.directory = fmt::format("{}/{}", path, files.partition);
    if (is_directory(files.full(files.directory))) return {};
    return fail(Errc::not_found, fmt::format("topic {} has no partition {} in {}", topic,
                                             files.partition, files.full(path)));
  }
  return fail(Errc::not_found,
              fmt::format("{} has no topic {}; millrace log describe {} lists them", files.root,
                          topic, files.root));
}

Result<void> list_segments(PartitionFiles& files) {
  const auto names = list_directory(files.full(files.directory));
  if (!names) return fail(names.error());
  for (const std::string& name : *names) {
    const auto base = parse_segment_file_name(name);
    if (!base) continue;
    SegmentOnDisk segment{join_path(files.directory, name), *base, {}};
    const auto reader = FileReader::open(files.full(segment.file));
    if (!reader) return fail(reader.error());
    const auto front = reader->read_front(segment_layout::header_bytes);
    if (!front) return fail(front.error());
    if (auto header = decode_segment_header(*front)) {
      if (header->cluster_id != files.cluster_id || header->topic_id != files.topic_id ||
          header->partition != files.partition || header->base_offset != *base)
        return fail(Errc::corrupt,
                    fmt::format("{} belongs to another log; start the broker once, which sets it "
                                "aside, or move it away",
                                segment.file));
      segment.header = std::move(*header);
    }
    files.segments.push_back(std::move(segment));
  }
  std::sort(files.segments.begin(), files.segments.end(),
            [](const SegmentOnDisk& a, const SegmentOnDisk& b) { return a.base < b.base; });
  return {};
}

Result<void> read_checkpoint(PartitionFiles& files) {
  const auto reader =
      FileReader::open(files.full(join_path(files.directory, checkpoint_file_name)));
  if (!reader && reader.error().code == Errc::not_found) return {};
  if (!reader) return fail(reader.error());
  const auto bytes = reader->read_front(2 * checkpoint_layout::slot_bytes);
  if (!bytes) return fail(bytes.error());
  for (std::size_t slot = 0; slot < 2; ++slot) {
    const std::size_t at = slot * checkpoint_layout::slot_bytes;
    if (bytes->size() <= at) break;
    auto checkpoint = decode_checkpoint(
        ByteView(*bytes).subspan(at, std::min(bytes->size() - at, checkpoint_layout::slot_bytes)));
    if (!checkpoint || checkpoint->topic_id != files.topic_id ||
        checkpoint->partition != files.partition)
      continue;
    if (files.checkpoint && checkpoint->generation <= files.checkpoint->generation) continue;
    files.checkpoint = std::move(*checkpoint);
    files.checkpoint_slot = slot;
  }
  return {};
}

}  // namespace

Offset PartitionFiles::start() const {
  if (checkpoint) return checkpoint->start_offset;
  return segments.empty() ? Offset{0} : segments.front().base;
}

Offset PartitionFiles::known_end() const {
  const Offset by_files = segments.empty() ? Offset{0} : segments.back().base;
  return checkpoint ? std::max(checkpoint->durable_end, by_files) : by_files;
}

Result<PartitionFiles> find_partition_files(const std::string& data_directory,
                                            const std::string& topic, PartitionIndex partition) {
  const auto identity = read_identity(data_directory);
  if (!identity) return fail(identity.error());
  auto lock = DirectoryLock::take(data_directory);
  if (!lock) return fail(lock.error());
  PartitionFiles files(std::move(*lock));
  files.root = data_directory;
  files.partition = partition;
  files.cluster_id = identity->cluster_id;
  if (auto ok = find_topic(files, topic); !ok) return fail(ok.error());
  if (auto ok = list_segments(files); !ok) return fail(ok.error());
  if (auto ok = read_checkpoint(files); !ok) return fail(ok.error());
  return files;
}

Result<ReadableEnd> walk_events(const PartitionFiles& files, const SegmentOnDisk& segment,
                                Offset from, std::optional<Offset> end) {
  ReadableEnd out{0, segment.base};
  if (!segment.header) return out;
  const auto reader = FileReader::open(files.full(segment.file));
  if (!reader) return fail(reader.error());
  SegmentWalk walk(*reader, {*segment.header, end}, [&](const BatchView& batch, Position) {
    if (batch.header().base_offset >= from) out.events += batch.header().event_count;
    out.end = batch.header().end_offset();
  });
  const auto walked = walk.run();
  if (!walked) return fail(walked.error());
  return out;
}

}  // namespace millrace::inspect
