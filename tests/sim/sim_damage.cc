#include "tests/sim/sim_damage.h"

#include "broker/meta/topic_paths.h"
#include "storage/format/segment_layout.h"
#include "storage/log_files.h"

#include <fmt/core.h>

#include <algorithm>

namespace millrace::sim {
namespace {

// Of the names that a log gives: foreign files may end in the same way.
std::string newest_segment(const SimDisk& disk, const std::string& directory) {
  std::string newest;
  for (auto& name : disk.names(directory)) {
    if (parse_segment_file_name(name)) newest = std::max(newest, std::move(name));
  }
  return newest;
}

}  // namespace

bool SimDamage::draw_place(Place& out) {
  std::vector<Place> places;
  for (TopicIndex i = 0; i < oracle_.topics.size(); ++i) {
    const TopicRecord& topic = oracle_.topics[i];
    if (topic.state != TopicRecord::State::standing) continue;
    for (PartitionIndex p = 0; p < topic.partitions; ++p) {
      auto directory = partition_path(topic_path(topic.id), p);
      if (!topic.parts[p].was_lied_to && disk_.exists(directory))
        places.push_back({i, p, std::move(directory)});
    }
  }
  if (places.empty()) return false;
  out = places[random_.below(places.size())];
  return true;
}

void SimDamage::flip(const std::string& path, std::uint64_t at) {
  const auto& file = *disk_.live_file(path);
  const auto bits = static_cast<std::uint8_t>(1u << random_.below(8));
  changes_.push_back({path, at, file[at], file[at] ^ static_cast<std::byte>(bits)});
  disk_.corrupt(path, at, bits);
  oracle_.counts.fault("bit flip");
}

void SimDamage::rot() {
  Place place;
  if (!draw_place(place)) return;
  switch (random_.below(6)) {
    case 0: return rot_index(place);
    case 1: return rot_meta(place);
    default: return rot_batch(place);
  }
}

// A promised batch with a promised one of a later commit behind it in the same segment, or with a
// later segment.
void SimDamage::rot_batch(const Place& place) {
  PartitionRecord& part = oracle_.topics[place.topic].parts[place.partition];
  if (part.placed.empty()) return;
  // Half of the time among the newest: recovery looks at those, readers at all.
  const std::uint64_t from = random_.chance(1, 2) ? part.end_told - part.end_told / 8 : 0;
  auto at = part.placed.lower_bound(from + random_.below(part.end_told - from + 1));
  if (at == part.placed.end() || at->first < part.start_told) return;
  const auto name =
      disk_.floor_name(place.directory, segment_file_name(Offset{at->first}), ".segment");
  if (name.empty()) return;
  const auto path = join_path(place.directory, name);
  const auto& file = *disk_.live_file(path);
  const auto segment = decode_segment_header(
      ByteView(file).first(std::min<std::size_t>(file.size(), segment_layout::header_bytes)));
  if (!segment) return;
  std::optional<BatchHeader> target;
  bool is_proven = newest_segment(disk_, place.directory) != name;
  for (std::uint64_t position = segment_layout::header_bytes;
       position + batch_layout::header_bytes <= file.size(); position += 8) {
    const auto header = parse_batch_header(ByteView(file).subspan(position));
    // A file that was used before holds batches of its former life.
    if (!header || header->position != position || header->segment_id != segment->segment_id)
      continue;
    if (header->base_offset.value == at->first) target = *header;
    if (target &&
        header->durable_position > align_up(target->position + target->padded_bytes(), 4096) &&
        part.placed.contains(header->base_offset.value))
      is_proven = true;
  }
  if (!target || !is_proven) return;
  const OffsetRange range = target->range();
  // A second flip might undo the first, or hit the batch that proves its damage.
  if (!part.rotten.empty()) return;
  part.rotten.push_back(range);
  part.is_rotten = true;
  const bool in_header = random_.chance(1, 3);
  const std::uint64_t within = in_header
                                   ? random_.below(batch_layout::header_bytes)
                                   : batch_layout::header_bytes + random_.below(target->body_bytes);
  const bool in_length = in_header && within >= batch_layout::body_bytes_at &&
                         within < batch_layout::event_count_at + 4;
  oracle_.counts.row(in_length ? "ST-06" : in_header ? "ST-04" : "ST-05");
  flip(path, target->position + within);
}

// Derived data: nobody may notice.
void SimDamage::rot_index(const Place& place) {
  const auto name = disk_.floor_name(place.directory, "9", ".index");
  if (name.empty()) return;
  const auto path = join_path(place.directory, name);
  const auto size = disk_.live_file(path)->size();
  if (size == 0) return;
  oracle_.counts.row("ST-07");
  if (random_.chance(1, 3)) return disk_.cut_file(path, random_.below(size));
  flip(path, random_.below(size));
}

// One copy of two; the other counts, and the damaged one is written again.
void SimDamage::rot_meta(const Place& place) {
  const auto topic = topic_path(oracle_.topics[place.topic].id);
  const auto* first = disk_.live_file(topic_meta_path(topic, 0));
  const auto* second = disk_.live_file(topic_meta_path(topic, 1));
  if (first == nullptr || second == nullptr || *first != *second || first->empty()) return;
  const auto path = topic_meta_path(topic, random_.below(2));
  oracle_.counts.row("ST-08");
  disk_.corrupt(path, random_.below(first->size()), 1);
  oracle_.counts.fault("bit flip");
}

void SimDamage::heal() {
  for (auto change = changes_.rbegin(); change != changes_.rend(); ++change) {
    const auto* file = disk_.live_file(change->path);
    const bool is_there =
        file != nullptr && change->at < file->size() && (*file)[change->at] == change->after;
    if (is_there) {
      disk_.corrupt(change->path, change->at,
                    static_cast<std::uint8_t>(change->before ^ change->after));
    }
  }
  changes_.clear();
}

void SimDamage::add_foreign_file() {
  Place place;
  if (!draw_place(place)) return;
  static constexpr std::string_view names[] = {"notes.txt", "00000000000000000000.segment.bak",
                                               "checkpoint~", "1.segment", ".swp"};
  const auto name = names[random_.below(std::size(names))];
  const std::string directories[] = {place.directory, "topics", "pool",
                                     topic_path(oracle_.topics[place.topic].id)};
  const auto path = join_path(directories[random_.below(4)], name);
  if (disk_.exists(path)) return;
  oracle_.counts.row("ST-10");
  oracle_.counts.fault("foreign file");
  if (random_.chance(1, 4)) return disk_.make_special(path);
  if (random_.chance(1, 4)) return disk_.make_path(path);
  disk_.write_file(path, as_bytes(std::string(random_.below(9000), 'f')));
}

void SimDamage::make_unreadable() {
  Place place;
  if (!draw_place(place)) return;
  const auto name = newest_segment(disk_, place.directory);
  if (name.empty()) return;
  const auto path = join_path(place.directory, name);
  const std::uint64_t size = disk_.live_file(path)->size();
  if (size == 0) return;
  const std::uint64_t at = align_down(random_.below(size), sector_bytes);
  oracle_.counts.row("ST-17");
  oracle_.counts.fault("unreadable sector");
  disk_.make_unreadable(path, at, at + sector_bytes);
}

}  // namespace millrace::sim
