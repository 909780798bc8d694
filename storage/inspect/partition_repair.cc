#include "storage/inspect/partition_repair.h"

#include "storage/base/crc32c.h"
#include "storage/inspect/file_reader.h"
#include "storage/inspect/file_writer.h"
#include "storage/inspect/segment_walk.h"
#include "storage/io/disk.h"
#include "storage/log_files.h"
#include "storage/segment_chain.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace millrace::inspect {
namespace {

constexpr std::uint64_t block = Disk::direct_alignment;

std::string base_name(const std::string& file) { return file.substr(file.rfind('/') + 1); }

// Where the end of `before` is known from: its successor, if that is really the next one.
bool follows(const SegmentOnDisk& before, const SegmentOnDisk& after) {
  return before.header && after.header &&
         after.header->previous_segment_id == before.header->segment_id;
}

// For a missing segment whose id nobody has kept. Never 0.
std::uint64_t made_up_id(const PartitionFiles& files, Offset base) {
  std::array<std::byte, 28> bytes{};
  std::memcpy(bytes.data(), files.topic_id.bytes.data(), 16);
  store_le(bytes.data() + 16, base.value);
  store_le(bytes.data() + 24, files.partition);
  const std::uint64_t low = crc32c(bytes), high = crc32c(ByteView(bytes).subspan(1));
  return high << 32 | low | 1;
}

}  // namespace

Result<PartitionRepair> PartitionRepair::plan(PartitionFiles files, RepairWish wish) {
  PartitionRepair repair(std::move(files), wish);
  const auto make = [&] {
    switch (wish.kind) {
      case RepairKind::fence: return repair.plan_fence();
      case RepairKind::before: return repair.plan_before();
      case RepairKind::from: return repair.plan_from();
    }
    return Result<void>(fail(Errc::bad_request, "an unknown kind of repair"));
  };
  if (auto ok = make(); !ok) return fail(ok.error());
  return repair;
}

// Behind a missing segment the next base says nothing about where this one ends.
Result<Offset> PartitionRepair::end_of(std::size_t segment) const {
  const SegmentOnDisk& at = files_.segments[segment];
  const bool is_last = segment + 1 == files_.segments.size();
  if (!is_last &&
      (follows(at, files_.segments[segment + 1]) || !files_.segments[segment + 1].header))
    return files_.segments[segment + 1].base;
  const auto walked = walk_events(
      files_, at, Offset{0},
      is_last ? std::nullopt
              : std::optional(
                    std::max(at.base, files_.segments[segment + 1].header->previous_base_offset)));
  if (!walked) return fail(walked.error());
  return walked->end;
}

// -- fence: an empty segment in the place of the missing ones

void PartitionRepair::fence(OffsetRange missing, const SegmentHeader* before,
                            std::uint64_t segment_id) {
  SegmentHeader header;
  header.cluster_id = files_.cluster_id;
  header.topic_id = files_.topic_id;
  header.partition = files_.partition;
  header.topic_name = files_.topic_name;
  header.base_offset = missing.begin;
  header.segment_id = segment_id != 0 ? segment_id : made_up_id(files_, missing.begin);
  if (files_.checkpoint) header.created = files_.checkpoint->last_append_time;
  if (before != nullptr) {
    header.created = before->created;
    // An empty one is replaced: its predecessor is ours.
    const bool replaced = before->base_offset == missing.begin;
    header.previous_segment_id = replaced ? before->previous_segment_id : before->segment_id;
    header.previous_base_offset = replaced ? before->previous_base_offset : before->base_offset;
    if (replaced)
      plan_.moved.push_back(join_path(files_.directory, segment_file_name(missing.begin)));
  }
  plan_.fenced.push_back(missing);
  fences_.push_back(std::move(header));
}

// The last of the log's segments are missing. One more stands behind the fence: a segment says
// where it begins and not where it ends, and a start would append in the fence itself.
void PartitionRepair::fence_end(OffsetRange missing, const SegmentHeader* before,
                                std::uint64_t segment_id) {
  fence(missing, before, segment_id);
  SegmentHeader next = fences_.back();
  next.previous_segment_id = next.segment_id;
  next.previous_base_offset = next.base_offset;
  next.base_offset = missing.end;
  next.segment_id = made_up_id(files_, missing.end);
  fences_.push_back(std::move(next));
}

// From `begin` to the end that the checkpoint vouches for; the segment that it names is among them
// and keeps its place and id.
void PartitionRepair::fence_newest(Offset begin, const SegmentHeader* before) {
  const Checkpoint& checkpoint = *files_.checkpoint;
  const Offset end = std::max(begin + 1, least_end(checkpoint));
  if (begin >= checkpoint.segment_base)
    return fence_end({begin, end}, before, checkpoint.segment_id);
  fence({begin, checkpoint.segment_base}, before, 0);
  const SegmentHeader first = fences_.back();
  fence_end({checkpoint.segment_base, end}, &first, checkpoint.segment_id);
}

Result<void> PartitionRepair::plan_fence() {
  const auto& segments = files_.segments;
  const auto& checkpoint = files_.checkpoint;
  const bool vouches = checkpoint && must_be_there(*checkpoint);
  if (segments.empty()) {
    if (vouches) fence_newest(checkpoint->start_offset, nullptr);
    return {};
  }
  if (checkpoint && checkpoint->start_offset < segments.front().base)
    fence({checkpoint->start_offset, segments.front().base}, nullptr,
          segments.front().header ? segments.front().header->previous_segment_id : 0);
  for (std::size_t i = 0; i + 1 < segments.size(); ++i) {
    if (!segments[i].header || !segments[i + 1].header || follows(segments[i], segments[i + 1]))
      continue;
    const auto end = end_of(i);
    if (!end) return fail(end.error());
    fence({*end, segments[i + 1].base}, &*segments[i].header,
          segments[i + 1].header->previous_segment_id);
  }
  // The newest one is missing, or does not say who it is: nothing of it can be read.
  const SegmentOnDisk& last = segments.back();
  if (!last.header) {
    const auto* before = segments.size() > 1 && segments[segments.size() - 2].header
                             ? &*segments[segments.size() - 2].header
                             : nullptr;
    const auto file = FileReader::open(files_.full(last.file));
    if (!file) return fail(file.error());
    const auto end = end_of_unreadable(*file, last.base, checkpoint);
    if (!end) return fail(end.error());
    plan_.moved.push_back(last.file);
    fence_end({last.base, *end}, before, id_named_for(checkpoint, last.base).value_or(0));
  } else if (vouches && checkpoint->segment_base > last.base) {
    const auto end = end_of(segments.size() - 1);
    if (!end) return fail(end.error());
    fence_newest(*end, &*last.header);
  }
  return {};
}

// -- before and from: what a cut gives up

Result<void> PartitionRepair::plan_before() {
  const auto& segments = files_.segments;
  if (segments.empty()) {
    if (wish_.offset != files_.known_end())
      return fail(Errc::bad_request,
                  fmt::format("{} has no segment; the only place to cut before is its end, {}",
                              files_.directory, files_.known_end().value));
    plan_.given_up = {std::min(files_.start(), wish_.offset), wish_.offset};
    return {};
  }
  const auto at = std::find_if(segments.begin(), segments.end(),
                               [&](const SegmentOnDisk& s) { return s.base == wish_.offset; });
  if (at == segments.end()) {
    std::string places;
    for (const SegmentOnDisk& s : segments)
      places += (places.empty() ? "" : ", ") + std::to_string(s.base.value);
    return fail(Errc::bad_request,
                fmt::format("no segment of {} begins at offset {}; they begin at {}",
                            files_.directory, wish_.offset.value, places));
  }
  if (wish_.offset < files_.start())
    return fail(Errc::bad_request,
                fmt::format("the log starts at offset {} already", files_.start().value));
  for (auto it = segments.begin(); it != at; ++it) {
    const auto end = end_of(static_cast<std::size_t>(it - segments.begin()));
    if (!end) return fail(end.error());
    const auto walked = walk_events(files_, *it, Offset{0}, *end);
    if (!walked) return fail(walked.error());
    plan_.events += walked->events;
    plan_.moved.push_back(it->file);
  }
  plan_.given_up = {std::min(files_.start(), wish_.offset), wish_.offset};
  return {};
}

Result<void> PartitionRepair::plan_from() {
  const auto& segments = files_.segments;
  if (segments.empty())
    return fail(Errc::bad_request, fmt::format("{} has no segment to cut", files_.directory));
  if (wish_.offset < segments.front().base)
    return fail(Errc::bad_request,
                fmt::format("offset {} lies before the first segment, which begins at {}",
                            wish_.offset.value, segments.front().base.value));
  Offset end = std::max(files_.known_end(), wish_.offset);
  for (std::size_t left = segments.size(); left-- > 0;) {
    const SegmentOnDisk& segment = segments[left];
    const auto segment_end = end_of(left);
    if (!segment_end) return fail(segment_end.error());
    end = std::max(end, *segment_end);
    const auto walked =
        walk_events(files_, segment, wish_.offset,
                    left + 1 == segments.size() ? std::nullopt : std::optional(*segment_end));
    if (!walked) return fail(walked.error());
    plan_.events += walked->events;
    if (segment.base < wish_.offset) {
      if (*segment_end < wish_.offset)
        return fail(Errc::bad_request,
                    fmt::format("offset {} lies behind {}, which ends at {}", wish_.offset.value,
                                segment.file, segment_end->value));
      if (auto ok = plan_cut_inside(segment); !ok) return ok;
      break;
    }
    plan_.moved.push_back(segment.file);  // newest first: a crash never leaves a hole
  }
  plan_.given_up = {wish_.offset, end};
  return {};
}

// Everything before the place verifies: a later start must not take what is left for a torn tail.
Result<void> PartitionRepair::plan_cut_inside(const SegmentOnDisk& segment) {
  if (!segment.header)
    return fail(
        Errc::corrupt,
        fmt::format("the header of {} does not verify, so no place inside can be found; cut "
                    "from {} instead",
                    segment.file, segment.base.value));
  const auto reader = FileReader::open(files_.full(segment.file));
  if (!reader) return fail(reader.error());
  OffsetRange around{segment.base, segment.base};  // the batch that reaches over the offset
  SegmentWalk walk(*reader, {*segment.header, wish_.offset},
                   [&](const BatchView& batch, Position) { around = batch.header().range(); });
  const auto walked = walk.run();
  if (!walked) return fail(walked.error());
  if (!walked->damage.empty()) {
    const WalkDamage& damage = walked->damage.front();
    return fail(
        Errc::corrupt,
        fmt::format("{} at position {}: offsets [{}, {}) before offset {} do not verify; "
                    "cut from {} instead",
                    segment.file, damage.position.value, damage.offsets.begin.value,
                    damage.offsets.end.value, wish_.offset.value, damage.offsets.begin.value));
  }
  if (walked->end_offset != wish_.offset)
    return fail(
        Errc::bad_request,
        fmt::format("offset {} is no end of a batch in {}: offsets [{}, {}) are one",
                    wish_.offset.value, segment.file, around.begin.value, around.end.value));
  plan_.cut = segment.file;
  cut_position_ = walked->end_position;
  return {};
}

// -- doing it

Result<void> PartitionRepair::apply() {
  const std::string quarantine = files_.full(std::string(quarantine_directory));
  if (auto ok = make_directory(quarantine); !ok) return ok;
  if (auto ok = sync_directory(files_.root); !ok) return ok;
  // What the checkpoint vouches for must never be more than what is there, and the start that it
  // tells never less than what is gone.
  if (wish_.kind == RepairKind::from) {
    if (auto ok = write_checkpoint(); !ok) return ok;
  }
  if (plan_.cut) {
    if (auto ok = copy_file(files_.full(*plan_.cut), files_.full(quarantine_name(*plan_.cut))); !ok)
      return ok;
    if (auto ok = sync_directory(quarantine); !ok) return ok;
  }
  for (const std::string& file : plan_.moved) {
    if (wish_.kind == RepairKind::fence) break;  // each goes when its fence takes its place
    if (auto ok = move_away(file); !ok) return ok;
  }
  if (plan_.cut) {
    if (auto ok = cut_file(files_.full(*plan_.cut), cut_position_.value, block); !ok) return ok;
    const Offset base = *parse_segment_file_name(base_name(*plan_.cut));
    if (auto ok = remove_if_there(files_.full(join_path(files_.directory, index_file_name(base))));
        !ok)
      return ok;
  }
  if (auto ok = write_fences(); !ok) return ok;
  if (auto ok = sync_directory(files_.full(files_.directory)); !ok) return ok;
  if (wish_.kind == RepairKind::before) return write_checkpoint();
  return {};
}

std::string PartitionRepair::quarantine_name(const std::string& file) const {
  return free_quarantine_path(
      files_.topic_id, files_.partition, base_name(file),
      [&](const std::string& path) { return path_exists(files_.full(path)); });
}

// Its new name is durable before the old one may go for good. The index is derived data, and of no
// use without its segment.
Result<void> PartitionRepair::move_away(const std::string& file) const {
  if (auto ok = move_file(files_.full(file), files_.full(quarantine_name(file))); !ok) return ok;
  if (auto ok = sync_directory(files_.full(std::string(quarantine_directory))); !ok) return ok;
  const Offset base = *parse_segment_file_name(base_name(file));
  return remove_if_there(files_.full(join_path(files_.directory, index_file_name(base))));
}

// Under another name first: a segment's name stands only over a whole header. The newest first, and
// each durably before the next: as long as one is not there, the one behind it names it, and what
// is missing shows.
Result<void> PartitionRepair::write_fences() const {
  for (auto header = fences_.rbegin(); header != fences_.rend(); ++header) {
    std::array<std::byte, segment_layout::header_bytes> bytes{};
    encode_segment_header(*header, bytes);
    const std::string name = join_path(files_.directory, segment_file_name(header->base_offset));
    const std::string fresh =
        files_.full(fmt::format("{}/repair-{}", quarantine_directory, files_.topic_id.to_hex()));
    if (auto ok = remove_if_there(fresh); !ok) return ok;
    if (auto ok = write_at(fresh, 0, bytes); !ok) return ok;
    if (path_exists(files_.full(name))) {
      if (auto ok = move_away(name); !ok) return ok;
    }
    if (auto ok = move_file(fresh, files_.full(name)); !ok) return ok;
    if (auto ok = sync_directory(files_.full(files_.directory)); !ok) return ok;
  }
  return {};
}

Result<void> PartitionRepair::write_checkpoint() const {
  Checkpoint next = files_.checkpoint.value_or(Checkpoint{});
  next.generation += 1;
  next.topic_id = files_.topic_id;
  next.partition = files_.partition;
  next.clean = false;
  if (wish_.kind == RepairKind::before) {
    next.start_offset = wish_.offset;
    next.durable_end = std::max(next.durable_end, wish_.offset);
  } else {
    next.start_offset = std::min(files_.start(), wish_.offset);
    next.durable_end = wish_.offset;
    for (CheckpointProducer& producer : next.producers)
      std::erase_if(producer.batches, [&](const CheckpointProducer::Batch& batch) {
        return batch.base_offset >= wish_.offset;
      });
    std::erase_if(next.producers, [](const auto& producer) { return producer.batches.empty(); });
  }
  // Without a place in a segment the next start reads the newest one from its beginning.
  next.segment_id = 0;
  next.segment_base = Offset{0};
  next.scan_position = Position{0};
  const std::size_t slot = 1 - files_.checkpoint_slot;
  if (auto ok = write_at(files_.full(join_path(files_.directory, checkpoint_file_name)),
                         slot * checkpoint_layout::slot_bytes, encode_checkpoint(next));
      !ok)
    return ok;
  return sync_directory(files_.full(files_.directory));
}

}  // namespace millrace::inspect
