#include "storage/inspect/partition_check.h"

#include "storage/batch_scan.h"
#include "storage/inspect/batch_events.h"
#include "storage/log_files.h"
#include "storage/segment_chain.h"

#include <fmt/core.h>

#include <algorithm>

namespace millrace::inspect {
namespace {

constexpr std::size_t index_bytes_max =
    index_layout::header_bytes +
    std::size_t{index_layout::entries_limit} * index_layout::entry_bytes + 4096;
// Of a slot that does not verify, only a hint: see checkpoint_layout.h.
constexpr std::size_t checkpoint_generation_at = 24;

std::string offsets_text(Offset begin, Offset end) {
  return fmt::format("offsets {}:{}", begin.value, end.value);
}

// Compares the entries of an index with the batches as the walk meets them.
class IndexCheck {
 public:
  explicit IndexCheck(const std::optional<IndexFile>& index) : index_(index) {}

  void on_batch(const BatchHeader& header, Position at) {
    if (!index_ || next_ == index_->entries.size()) return;
    const IndexEntry& entry = index_->entries[next_];
    if (entry.position > at) return;
    if (entry.position != at || entry.offset != header.base_offset ||
        entry.append_time != header.append_time)
      ++wrong_;
    ++next_;
  }
  std::size_t wrong() const { return index_ ? wrong_ + (index_->entries.size() - next_) : 0; }

 private:
  const std::optional<IndexFile>& index_;
  std::size_t next_ = 0;
  std::size_t wrong_ = 0;
};

}  // namespace

PartitionCheck::PartitionCheck(Inspection& inspection, LogOwner owner, std::string directory)
    : inspection_(inspection), owner_(owner), directory_(std::move(directory)) {}

PartitionReport PartitionCheck::run() {
  list();
  read_checkpoint();
  for (Entry& entry : segments_) {
    read_header(entry);
    read_index(entry);
  }
  // A broker goes on as if these were not there.
  std::erase_if(segments_, [](const Entry& entry) { return entry.is_foreign; });
  check_start();
  for (std::size_t i = 0; i < segments_.size() && !inspection_.stopped(); ++i) check_segment(i);

  PartitionReport report;
  report.partition = owner_.partition;
  report.closed_cleanly = checkpoint_ && checkpoint_->clean;
  for (std::size_t i = 0; i < segments_.size(); ++i) report.segments.push_back(report_of(i));
  if (!report.segments.empty()) {
    report.start_offset = report.segments.front().base_offset;
    report.end_offset = report.segments.back().end_offset;
  }
  if (checkpoint_) {
    report.start_offset = std::max(report.start_offset, checkpoint_->start_offset.value);
    report.end_offset = std::max(report.end_offset, report.start_offset);
  }
  return report;
}

void PartitionCheck::list() {
  const auto names = list_directory(inspection_.full_path(directory_));
  if (!names) return inspection_.fault(directory_, names.error().text);
  for (const std::string& name : *names) {
    const std::string file = join_path(directory_, name);
    if (const auto base = parse_segment_file_name(name)) {
      segments_.push_back(
          {.file = file, .base = *base, .header = {}, .file_bytes = 0, .index = {}, .walked = {}});
    } else if (const auto index_base = parse_index_file_name(name)) {
      index_bases_.push_back(*index_base);
    } else if (name != checkpoint_file_name) {
      inspection_.note(file, "not a file of this log; a broker ignores it");
    }
  }
  for (const Offset base : index_bases_) {
    const bool has_segment = std::any_of(segments_.begin(), segments_.end(),
                                         [base](const Entry& e) { return e.base == base; });
    if (!has_segment)
      inspection_.note(join_path(directory_, index_file_name(base)),
                       "an index without its segment");
  }
}

void PartitionCheck::read_checkpoint() {
  const std::string file = join_path(directory_, checkpoint_file_name);
  const auto reader = FileReader::open(inspection_.full_path(file));
  if (!reader) {
    if (reader.error().code == Errc::not_found) {
      // A log that never had an event has none.
      if (!segments_.empty())
        inspection_.note(file, "no checkpoint; a broker scans the newest segment instead");
    } else {
      inspection_.fault(file, reader.error().text);
    }
    return;
  }
  const auto bytes = reader->read_front(2 * checkpoint_layout::slot_bytes);
  if (!bytes) return inspection_.fault(file, bytes.error().text);
  std::vector<Checkpoint> valid;
  std::vector<std::size_t> damaged;
  std::size_t lost = 0;  // written once, and of no use to this log
  std::uint64_t damaged_generation = 0;
  for (std::size_t slot = 0; slot < 2; ++slot) {
    const std::size_t at = slot * checkpoint_layout::slot_bytes;
    if (bytes->size() <= at) break;
    const ByteView view =
        ByteView(*bytes).subspan(at, std::min(bytes->size() - at, checkpoint_layout::slot_bytes));
    if (all_zero(view)) continue;
    auto checkpoint = decode_checkpoint(view);
    if (!checkpoint) {
      ++lost;
      damaged.push_back(slot);
      if (view.size() >= checkpoint_generation_at + 8)
        damaged_generation = load_le<std::uint64_t>(view.data() + checkpoint_generation_at);
    } else if (checkpoint->topic_id != owner_.topic_id ||
               checkpoint->partition != owner_.partition) {
      ++lost;
      inspection_.fault(file, at,
                        fmt::format("slot {} belongs to another log: topic {} partition {}", slot,
                                    checkpoint->topic_id.to_hex(), checkpoint->partition));
    } else {
      valid.push_back(std::move(*checkpoint));
    }
  }
  for (Checkpoint& checkpoint : valid) {
    if (!checkpoint_ || checkpoint.generation > checkpoint_->generation)
      checkpoint_ = std::move(checkpoint);
  }
  for (const std::size_t slot : damaged) {
    const std::size_t at = slot * checkpoint_layout::slot_bytes;
    // Only the newest slot can be torn by an unclean stop; the older one was whole before.
    if (checkpoint_ && damaged.size() == 1 && damaged_generation == checkpoint_->generation + 1) {
      inspection_.note(file, at, checkpoint_->durable_end.value,
                       fmt::format("slot {} is torn; the other slot counts", slot));
    } else if (segments_.empty() && lost == 1) {
      inspection_.note(file,
                       fmt::format("slot {} is torn and the other was never written: the first "
                                   "write of a young log; a broker begins at offset 0",
                                   slot));
    } else {
      inspection_.fault(file, at, fmt::format("checkpoint slot {} does not verify", slot));
    }
  }
}

void PartitionCheck::read_header(Entry& entry) {
  const auto reader = FileReader::open(inspection_.full_path(entry.file));
  if (!reader) return inspection_.fault(entry.file, reader.error().text);
  entry.file_bytes = reader->bytes();
  const auto block = reader->read_front(segment_layout::header_bytes);
  if (!block) return inspection_.fault(entry.file, block.error().text);
  auto header = decode_segment_header(*block);
  if (!header) return inspection_.fault(entry.file, 0, header.error().text);
  // Without an identity of the directory nobody knows whose it is.
  const bool foreign = !owner_.cluster_id.is_none() && header->cluster_id != owner_.cluster_id;
  constexpr std::string_view consequence = "a broker moves it to quarantine/";
  if (foreign || header->topic_id != owner_.topic_id || header->partition != owner_.partition) {
    entry.is_foreign = true;
    return inspection_.fault(
        entry.file, 0,
        fmt::format("the segment belongs to topic {} ({}) partition {} of data directory {}; {}",
                    header->topic_name, header->topic_id.to_hex(), header->partition,
                    header->cluster_id.to_hex(), consequence));
  }
  if (header->base_offset != entry.base) {
    entry.is_foreign = true;
    return inspection_.fault(entry.file, 0,
                             fmt::format("inside the segment begins at offset {}; {}",
                                         header->base_offset.value, consequence));
  }
  entry.header = std::move(*header);
}

void PartitionCheck::read_index(Entry& entry) {
  if (std::find(index_bases_.begin(), index_bases_.end(), entry.base) == index_bases_.end()) return;
  const std::string file = join_path(directory_, index_file_name(entry.base));
  const auto reader = FileReader::open(inspection_.full_path(file));
  if (!reader) return inspection_.fault(file, reader.error().text);
  const auto bytes = reader->read_front(index_bytes_max);
  if (!bytes) return inspection_.fault(file, bytes.error().text);
  auto index = decode_index(*bytes);
  if (!index)
    return inspection_.fault(
        file, 0, fmt::format("{}; a broker rebuilds it from the segment", index.error().text));
  if (entry.header && index->segment_id != entry.header->segment_id)
    return inspection_.fault(file, 0, "the index belongs to another segment; a broker rebuilds it");
  entry.index = std::move(*index);
}

void PartitionCheck::check_start() {
  if (!checkpoint_ || checkpoint_->segment_id == 0) return;
  const bool vouches = must_be_there(*checkpoint_);
  if (segments_.empty()) {
    if (vouches)
      inspection_.fault(directory_, std::nullopt,
                        {checkpoint_->start_offset, least_end(*checkpoint_)},
                        "all segments are missing");
    return;
  }
  if (checkpoint_->start_offset < segments_.front().base)
    inspection_.fault(directory_, std::nullopt, {checkpoint_->start_offset, segments_.front().base},
                      "the oldest segments are missing");
  if (vouches && checkpoint_->segment_base > segments_.back().base)
    inspection_.fault(directory_, std::nullopt,
                      {checkpoint_->segment_base, least_end(*checkpoint_)},
                      fmt::format("the newest segment, from offset {} on, is missing",
                                  checkpoint_->segment_base.value));
}

void PartitionCheck::check_segment(std::size_t at) {
  Entry& entry = segments_[at];
  const bool is_last = at + 1 == segments_.size();
  const std::optional<Offset> end = is_last ? std::nullopt : std::optional(segments_[at + 1].base);
  if (!is_last && checkpoint_ && *end <= checkpoint_->start_offset) {
    inspection_.note(entry.file, "lies below the start of the log; a broker removes it");
  }
  if (!entry.header) {
    // What was wrong with the header is said; this says what it costs.
    const auto file = FileReader::open(inspection_.full_path(entry.file));
    const auto lost_end = file && is_last ? end_of_unreadable(*file, entry.base, checkpoint_)
                                          : Result<Offset>(entry.base);
    inspection_.fault(entry.file, 0, {entry.base, end.value_or(lost_end.value_or(entry.base))},
                      "nothing of this segment can be read");
    return;
  }
  if (!is_last && segments_[at + 1].header) check_link(entry, segments_[at + 1]);
  const bool chain_holds =
      !is_last && segments_[at + 1].header &&
      segments_[at + 1].header->previous_segment_id == entry.header->segment_id;
  if (is_last || inspection_.depth == Depth::verify) {
    // Behind a missing segment the next base says nothing about where this one ends.
    walk(entry,
         is_last || chain_holds || !segments_[at + 1].header
             ? end
             : std::optional(std::max(entry.base, segments_[at + 1].header->previous_base_offset)));
    if (chain_holds && entry.walked && entry.walked->last_crc &&
        *entry.walked->last_crc != segments_[at + 1].header->previous_crc)
      inspection_.fault(segments_[at + 1].file, 0,
                        "the segment does not follow the last batch of the one before it");
  }
  if (is_last) check_end(entry);
}

void PartitionCheck::check_link(const Entry& before, const Entry& after) {
  if (after.header->previous_segment_id == before.header->segment_id) return;
  const Offset begin = std::max(before.base, after.header->previous_base_offset);
  inspection_.fault(after.file, std::nullopt, {std::min(begin, after.base), after.base},
                    fmt::format("a segment is missing between {} and this one", before.file));
}

void PartitionCheck::walk(Entry& entry, std::optional<Offset> end_offset) {
  const auto reader = FileReader::open(inspection_.full_path(entry.file));
  if (!reader) return inspection_.fault(entry.file, reader.error().text);
  BatchEvents events;
  IndexCheck index(entry.index);
  std::uint64_t read_before = 0;
  SegmentWalk walk(
      *reader, {*entry.header, end_offset, checkpoint_ ? checkpoint_->durable_end : Offset{0}},
      [&](const BatchView& batch, Position at) {
        index.on_batch(batch.header(), at);
        if (const auto ok = events.check(batch); !ok)
          inspection_.fault(entry.file, at.value, batch.header().range(), ok.error().text);
      },
      [&](std::uint64_t bytes) {
        if (bytes > read_before) inspection_.advance(entry.file, bytes - read_before);
        read_before = std::max(read_before, bytes);
      });
  auto walked = walk.run();
  if (!walked) return inspection_.fault(entry.file, walked.error().text);
  for (const WalkDamage& damage : walked->damage)
    inspection_.fault(entry.file, damage.position.value, damage.offsets, damage.reason);
  if (walked->tail_is_torn)
    inspection_.note(entry.file, walked->end_position.value, walked->end_offset.value,
                     walked->damage.empty() ? "torn tail of an unclean stop; would be cut"
                                            : "torn tail of an unclean stop");
  if (index.wrong() > 0 && walked->damage.empty())
    inspection_.fault(
        join_path(directory_, index_file_name(entry.base)), 0,
        fmt::format("{} of {} entries name no batch of the segment; a broker rebuilds it",
                    index.wrong(), entry.index->entries.size()));
  if (entry.index && end_offset && entry.index->end_offset != *end_offset && walked->damage.empty())
    note_index_end(*entry.index, join_path(directory_, index_file_name(entry.base)), *end_offset);
  entry.walked = std::move(*walked);
}

void PartitionCheck::note_index_end(const IndexFile& index, const std::string& file,
                                    Offset segment_end) {
  if (index.end_offset == index.base_offset)
    return inspection_.note(file,
                            "a partial index: the broker was restarted within this segment, and "
                            "rebuilds it when it is wanted");
  inspection_.fault(
      file, 0,
      fmt::format("the index ends at offset {} and its segment at {}; a broker rebuilds it",
                  index.end_offset.value, segment_end.value));
}

// Events below the durable end that the checkpoint knows of were acked: they must be there.
void PartitionCheck::check_end(const Entry& last) {
  if (!checkpoint_ || checkpoint_->segment_id == 0 || !last.walked) return;
  const Offset end = std::max(last.walked->end_offset, checkpoint_->start_offset);
  if (end < checkpoint_->durable_end)
    inspection_.fault(last.file, last.walked->end_position.value, {end, checkpoint_->durable_end},
                      fmt::format("durable events are missing at the end: {}",
                                  offsets_text(end, checkpoint_->durable_end)));
}

SegmentReport PartitionCheck::report_of(std::size_t at) const {
  const Entry& entry = segments_[at];
  SegmentReport report;
  report.file = entry.file;
  report.base_offset = entry.base.value;
  report.file_bytes = entry.file_bytes;
  report.has_index =
      std::find(index_bases_.begin(), index_bases_.end(), entry.base) != index_bases_.end();
  report.end_offset = at + 1 < segments_.size() ? segments_[at + 1].base.value : entry.base.value;
  report.used_bytes = entry.file_bytes;
  if (entry.header) report.created_ns = entry.header->created.ns;
  if (entry.index) {
    report.used_bytes = entry.index->end_position.value;
    report.last_append_ns = entry.index->last_append_time.ns;
  }
  if (entry.walked) {
    report.end_offset = entry.walked->end_offset.value;
    report.used_bytes = entry.walked->end_position.value;
    report.batches = entry.walked->batches;
    report.last_append_ns = entry.walked->last_append_time.ns;
  }
  report.events = report.end_offset - report.base_offset;
  return report;
}

}  // namespace millrace::inspect
