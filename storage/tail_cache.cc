#include "storage/tail_cache.h"

#include "storage/base/check.h"
#include "storage/base/units.h"

#include <algorithm>

namespace millrace {
namespace {

// A log that gets one small event holds little; one that streams gets large blocks.
constexpr std::size_t block_bytes_min = 64 * KiB;
constexpr std::size_t block_bytes_max = 1 * MiB;

}  // namespace

void CacheBudget::touch(TailCache& cache) {
  cache.unlink();
  by_age_.push_back(cache);
}

void CacheBudget::shrink() {
  while (bytes_ > bytes_max_ && !by_age_.empty()) {
    TailCache& oldest = by_age_.front();
    if (oldest.evict_oldest()) continue;
    // Nothing durable left there: it comes back into the list with its next append or commit.
    oldest.unlink();
  }
}

TailCache::TailCache(SlabPool& slabs, CacheBudget& budget, std::uint64_t bytes_max)
    : slabs_(slabs), budget_(budget), bytes_max_(bytes_max), next_block_bytes_(block_bytes_min) {}

TailCache::~TailCache() {
  clear();
  unlink();
}

bool TailCache::fits(Position at, std::size_t bytes) const {
  if (!open_ || blocks_.empty()) return false;
  const Block& newest = blocks_.back();
  return at >= newest.begin && at - newest.begin + bytes <= newest.slab.size();
}

bool TailCache::begin_block(Position at, std::size_t bytes) {
  CHECK(at.value % batch_layout::commit_alignment == 0, "a block begins where a direct write can");
  Buffer slab = slabs_.take(std::max(bytes, next_block_bytes_));
  if (slab.empty()) return false;
  if (open_) next_block_bytes_ = std::min(next_block_bytes_ * 2, block_bytes_max);
  bytes_ += slab.size();
  budget_.bytes_ += slab.size();
  blocks_.push_back({std::move(slab), at, {}});
  open_ = true;
  shrink();
  budget_.touch(*this);
  budget_.shrink();
  return true;
}

MutableBytes TailCache::room(Position at, std::size_t bytes) {
  CHECK(fits(at, bytes), "room was asked for first");
  Block& newest = blocks_.back();
  return {newest.slab.slab()->data() + (at - newest.begin), bytes};
}

void TailCache::note(const BatchHeader& header, Position at) {
  Block& newest = blocks_.back();
  newest.entries.push_back({header.base_offset, header.event_count,
                            static_cast<std::uint32_t>(at - newest.begin),
                            static_cast<std::uint32_t>(header.padded_bytes())});
}

void TailCache::drop_from(Offset end) {
  while (!blocks_.empty()) {
    auto& entries = blocks_.back().entries;
    while (!entries.empty() && entries.back().base_offset >= end) entries.pop_back();
    if (!entries.empty()) break;
    drop_block(blocks_.size() - 1);
  }
  open_ = false;
  durable_end_ = std::min(durable_end_, end);
}

void TailCache::clear() {
  while (!blocks_.empty()) drop_block(blocks_.size() - 1);
  open_ = false;
  // What comes next may have lower offsets than what was: after a truncation.
  durable_end_ = Offset{0};
}

void TailCache::drop_block(std::size_t index) {
  bytes_ -= blocks_[index].slab.size();
  budget_.bytes_ -= blocks_[index].slab.size();
  if (index + 1 == blocks_.size()) open_ = false;
  blocks_.erase(blocks_.begin() + static_cast<std::ptrdiff_t>(index));
}

std::vector<Buffer> TailCache::pieces(Offset first_offset, Position from, Position to) const {
  std::vector<Buffer> out;
  // Positions repeat from segment to segment; offsets do not.
  auto block = std::find_if(blocks_.begin(), blocks_.end(), [&](const Block& b) {
    return !b.entries.empty() && b.entries.back().end() > first_offset;
  });
  while (from < to) {
    CHECK(block != blocks_.end() && from >= block->begin, "staged bytes stay cached until written");
    const std::size_t start = from - block->begin;
    const auto following = std::next(block);
    std::size_t count = std::min<std::uint64_t>(to - from, block->slab.size() - start);
    if (following != blocks_.end() && following->begin > from)
      count = std::min<std::uint64_t>(count, following->begin - from);
    out.push_back(block->slab.slice(start, count));
    from = from + count;
    block = following;
  }
  return out;
}

std::vector<TailCache::Cached> TailCache::find(Offset from, Offset limit,
                                               std::size_t bytes_max) const {
  std::vector<Cached> out;
  auto block = std::partition_point(blocks_.begin(), blocks_.end(), [&](const Block& b) {
    return b.entries.empty() ? false : b.entries.back().end() <= from;
  });
  std::size_t total = 0;
  Offset reached = from;
  for (; block != blocks_.end(); ++block) {
    const auto& entries = block->entries;
    auto entry = std::partition_point(entries.begin(), entries.end(),
                                      [&](const Entry& e) { return e.end() <= reached; });
    if (entry == entries.end() || entry->base_offset > reached) break;  // not here, or a hole
    const std::uint32_t begin = entry->at;
    std::uint32_t end = begin;
    while (entry != entries.end() && entry->end() <= limit &&
           (total == 0 || total + entry->bytes <= bytes_max)) {
      end = entry->at + entry->bytes;
      reached = entry->end();
      total += entry->bytes;
      ++entry;
    }
    if (end == begin) break;
    out.push_back({block->slab.slice(begin, end - begin), reached});
    if (entry != entries.end()) break;
  }
  return out;
}

std::vector<Buffer> TailCache::batches(Offset from, Offset limit) const {
  std::vector<Buffer> out;
  auto block = std::partition_point(blocks_.begin(), blocks_.end(), [&](const Block& b) {
    return b.entries.empty() ? false : b.entries.back().end() <= from;
  });
  for (; block != blocks_.end(); ++block) {
    for (const Entry& entry : block->entries) {
      if (entry.base_offset < from) continue;
      if (entry.end() > limit) return out;
      out.push_back(block->slab.slice(entry.at, entry.bytes));
    }
  }
  return out;
}

void TailCache::set_durable(Offset end) {
  durable_end_ = end;
  if (!blocks_.empty() && !linked()) budget_.touch(*this);
  shrink();
  budget_.shrink();
}

bool TailCache::evict_oldest() {
  if (blocks_.empty()) return false;
  const Block& oldest = blocks_.front();
  // An empty block was begun for a batch that is about to be noted.
  if (oldest.entries.empty() || oldest.entries.back().end() > durable_end_) return false;
  drop_block(0);
  if (blocks_.empty()) next_block_bytes_ = block_bytes_min;
  return true;
}

void TailCache::shrink() {
  while (bytes_ > bytes_max_ && blocks_.size() > 1 && evict_oldest()) {
  }
}

}  // namespace millrace
