#include "storage/inspect/segment_walk.h"

#include "storage/batch_scan.h"
#include "storage/log_files.h"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>

namespace millrace::inspect {

namespace layout = batch_layout;

namespace {
constexpr std::uint64_t window_bytes_min = 4 * MiB;

std::optional<SegmentHeader> read_header(const FileReader& file) {
  const auto front = file.read_front(segment_layout::header_bytes);
  if (!front) return std::nullopt;
  const auto header = decode_segment_header(*front);
  return header ? std::optional(*header) : std::nullopt;
}

}  // namespace

std::optional<Offset> end_by_successor(const std::string& path, const SegmentHeader& header) {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  const auto names = list_directory(folder.empty() ? "." : folder.string());
  if (!names) return std::nullopt;
  std::optional<Offset> next;
  for (const std::string& name : *names) {
    const auto base = parse_segment_file_name(name);
    if (base && *base > header.base_offset && (!next || *base < *next)) next = base;
  }
  if (!next) return std::nullopt;
  const auto file = FileReader::open((folder / segment_file_name(*next)).string());
  const auto behind = file ? read_header(*file) : std::nullopt;
  return behind && behind->previous_segment_id == header.segment_id ? next : std::nullopt;
}

std::optional<std::uint64_t> id_named_for(const std::optional<Checkpoint>& checkpoint,
                                          Offset base) {
  if (!checkpoint || checkpoint->segment_id == 0 || checkpoint->segment_base != base)
    return std::nullopt;
  return checkpoint->segment_id;
}

Result<Offset> end_of_unreadable(const FileReader& file, Offset base,
                                 const std::optional<Checkpoint>& checkpoint) {
  std::optional<std::uint64_t> segment_id = id_named_for(checkpoint, base);
  Offset end = std::max(base + 1, checkpoint ? checkpoint->durable_end : base);
  std::vector<std::byte> bytes(window_bytes_min);
  Position at = segment_layout::first_batch_position;
  while (at.value + layout::header_bytes <= file.bytes()) {
    const auto have = file.read(at.value, bytes);
    if (!have) return fail(have.error());
    if (*have < layout::header_bytes) break;
    const ScanWindow window{ByteView(bytes).first(*have), at};
    while (const auto found = find_batch(window, at, segment_id, base)) {
      segment_id = found->header.segment_id;
      end = std::max(end, found->header.end_offset());
      // What looks like a header inside a whole batch was put there by its producer.
      const bool whole =
          BatchView::parse(window.bytes.subspan(found->position - window.at)).has_value();
      at = found->position + (whole ? found->header.padded_bytes() : layout::batch_alignment);
    }
    // A header that straddles the window's end is found in the next one.
    at = std::max(at, Position{align_down(window.end().value - layout::header_bytes,
                                          layout::batch_alignment) +
                               layout::batch_alignment});
  }
  return end;
}

SegmentWalk::SegmentWalk(const FileReader& file, WalkPlan plan, Visitor visit, Progress progress)
    : file_(file),
      plan_(std::move(plan)),
      visit_(std::move(visit)),
      progress_(std::move(progress)),
      at_(segment_layout::first_batch_position),
      next_offset_(plan_.header.base_offset),
      previous_crc_(plan_.header.previous_crc),
      file_end_(file.bytes()) {
  result_.end_position = at_;
  result_.end_offset = next_offset_;
  result_.last_crc = previous_crc_;
}

Result<WalkResult> SegmentWalk::run() {
  if (auto done = load(at_, 1); !done) return fail(done.error());
  while (!plan_.end_offset || next_offset_ < *plan_.end_offset) {
    const ScanExpectation expect{plan_.header.segment_id, next_offset_, previous_crc_};
    const ScanStep step = scan_batch({window_bytes(), window_at_}, at_, file_end_, expect);
    if (step.kind == ScanStep::Kind::need_more) {
      if (auto done = load(std::min(at_, step.position), (step.position - at_) + step.needed);
          !done)
        return fail(done.error());
    } else if (step.kind == ScanStep::Kind::batch) {
      take_batch(step.header, step.position);
      at_ = step.next;
    } else {
      const auto goes_on = go_on_behind();
      if (!goes_on) return fail(goes_on.error());
      if (!*goes_on) break;
    }
  }
  return std::move(result_);
}

// At least `bytes_min` bytes from `from`, or up to the end of the file.
Result<void> SegmentWalk::load(Position from, std::size_t bytes_min) {
  // A small file needs no large window.
  const std::uint64_t rest = file_end_ > from ? file_end_ - from : 0;
  const std::size_t bytes =
      align_up(std::max(bytes_min, std::min(window_bytes_min, rest)), layout::commit_alignment);
  if (window_.size() < bytes) window_.resize(bytes);
  window_at_ = from;
  window_size_ = 0;
  const auto have = file_.read(from.value, {window_.data(), bytes});
  if (!have) return fail(have.error());
  window_size_ = *have;
  // The file is what was read, even if a broker shortened it meanwhile.
  if (*have < bytes) file_end_ = std::min(file_end_, window_end());
  if (progress_) progress_(window_end().value);
  return {};
}

void SegmentWalk::take_batch(const BatchHeader& header, Position at) {
  visit_(BatchView::trusted(header, window_bytes().subspan(at - window_at_)), at);
  ++result_.batches;
  result_.events += header.event_count;
  result_.end_position = at + header.padded_bytes();
  result_.end_offset = next_offset_ = header.end_offset();
  result_.last_append_time = std::max(result_.last_append_time, header.append_time);
  result_.last_crc = previous_crc_ = header.header_crc;
}

// The rules of SegmentScan::search.
Result<bool> SegmentWalk::go_on_behind() {
  const Position bad = at_;
  if (auto done = hold(bad, layout::commit_alignment + layout::header_bytes); !done)
    return fail(done.error());
  std::string reason = reason_at(bad);
  const Position boundary{align_up(bad.value, layout::commit_alignment)};
  const auto padding =
      bytes_from(bad).first(std::min<std::size_t>(boundary - bad, bytes_from(bad).size()));
  const bool padding_is_dirty = !all_zero(padding);
  const bool was_durable = plan_.end_offset.has_value() || next_offset_ < plan_.durable_end;
  const bool gap_is_dirty = !was_durable && padding_is_dirty;
  // Where nobody vouches for what is behind, a start of the broker looks no further, either.
  const SearchReach reach = SearchReach::of(plan_.header);
  Position search_end = was_durable ? file_end_ : reach.end(bad);
  bool dirty = gap_is_dirty || (!was_durable && claims_segment(boundary));
  std::optional<FoundBatch> first_behind;
  Position search = bad;
  while (true) {
    const auto found =
        find_batch({window_bytes(), window_at_}, search, plan_.header.segment_id, next_offset_);
    if (found && found->position < search_end) {
      search = found->position + layout::batch_alignment;
      search_end = std::max(search_end, reach.end_behind(*found));
      dirty = dirty || !was_durable;
      if (found->position == bad && found->header.base_offset == next_offset_) continue;
      if (plan_.end_offset && found->header.base_offset >= *plan_.end_offset) continue;
      if (!first_behind) first_behind = found;
      durable_to_ = std::max(durable_to_, Position{found->header.durable_position});
      const bool vouched =
          plan_.end_offset || (was_durable && found->header.base_offset <= plan_.durable_end);
      if (vouched || durable_to_ > boundary ||
          proves_damage(*found, bad, next_offset_, gap_is_dirty)) {
        // Nothing is lost where only padding lies between, which may be damaged as well.
        if (const OffsetRange lost{next_offset_, first_behind->header.base_offset};
            !lost.empty() || padding_is_dirty)
          note_damage(lost, std::move(reason));
        at_ = first_behind->position;
        next_offset_ = first_behind->header.base_offset;
        result_.end_position = at_;
        result_.end_offset = next_offset_;
        previous_crc_.reset();
        if (auto done = hold(at_, layout::header_bytes); !done) return fail(done.error());
        return true;
      }
      continue;
    }
    if (window_end() >= std::min(file_end_, search_end)) break;
    // A header that straddles the window's end is found in the next one.
    search = std::max(search, Position{align_down(window_end().value - layout::header_bytes,
                                                  layout::batch_alignment) +
                                       layout::batch_alignment});
    if (auto done = load(search, layout::header_bytes); !done) return fail(done.error());
  }
  if (plan_.end_offset) {
    note_damage({next_offset_, *plan_.end_offset}, std::move(reason));
    result_.end_offset = next_offset_ = *plan_.end_offset;
    result_.last_crc.reset();
  }
  result_.tail_is_torn = dirty;
  return false;
}

// One range as long as no batch between verifies.
void SegmentWalk::note_damage(OffsetRange lost, std::string reason) {
  auto& damage = result_.damage;
  if (!damage.empty() && !damage.back().offsets.empty() &&
      damage.back().offsets.end == lost.begin) {
    damage.back().offsets.end = lost.end;
  } else {
    damage.push_back({at_, lost, std::move(reason)});
  }
}

// As load, unless the window has them already.
Result<void> SegmentWalk::hold(Position from, std::size_t bytes_min) {
  const bool here = from >= window_at_ && from <= window_end() &&
                    (from + bytes_min <= window_end() || window_end() >= file_end_);
  return here ? Result<void>() : load(from, bytes_min);
}

ByteView SegmentWalk::bytes_from(Position at) const {
  return window_bytes().subspan(at - window_at_);
}

// Whether what lies at `at` says that it is a batch of this segment, though it does not verify: a
// commit that was cut short. Anything else there is zero, or what the file held before it became
// this segment.
bool SegmentWalk::claims_segment(Position at) const {
  if (at < window_at_ || at + layout::header_bytes > window_end()) return false;
  const std::byte* header = window_.data() + (at - window_at_);
  return load_le<std::uint32_t>(header + layout::magic_at) == layout::magic &&
         load_le<std::uint64_t>(header + layout::segment_id_at) == plan_.header.segment_id;
}

// Why no batch continues the segment at `at`, which the window holds.
std::string SegmentWalk::reason_at(Position at) const {
  const ByteView rest = window_bytes().subspan(at - window_at_);
  if (rest.empty()) return "the file ends here";
  const auto header = parse_batch_header(rest);
  if (!header) return header.error().text;
  if (header->segment_id != plan_.header.segment_id) return "a batch of another segment lies here";
  if (header->position != at.value)
    return fmt::format("a batch that belongs at position {} lies here", header->position);
  if (header->base_offset != next_offset_)
    return fmt::format("the batch begins at offset {} instead of {}", header->base_offset.value,
                       next_offset_.value);
  if (previous_crc_ && header->previous_crc != *previous_crc_)
    return "the batch does not follow the one before it";
  if (header->durable_position > at.value)
    return "the batch says that it was durable before it was written";
  if (const auto batch = BatchView::parse(rest); !batch) return batch.error().text;
  return "the bytes between two commits are not zero";
}

}  // namespace millrace::inspect
