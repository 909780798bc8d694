// The latest slabs of a log, in which appends are staged, from which commits are written, and from
// which live readers are served without touching the disk. One copy of the bytes serves all three.
//
// Owner: Log. Thread: the shard's. A block covers a run of file positions of one segment; batches
// in it are found by offset. What was evicted lives on in the Buffers that readers and messages
// hold.
#pragma once

#include "storage/base/ids.h"
#include "storage/base/intrusive_list.h"
#include "storage/format/batch.h"
#include "storage/slab.h"

#include <cstdint>
#include <deque>
#include <vector>

namespace millrace {

class TailCache;

// Memory that the tail caches of all logs of a shard share. The log that appended least recently
// gives first.
class CacheBudget {
 public:
  explicit CacheBudget(std::uint64_t bytes_max) : bytes_max_(bytes_max) {}
  CacheBudget(const CacheBudget&) = delete;
  CacheBudget& operator=(const CacheBudget&) = delete;

  std::uint64_t used_bytes() const { return bytes_; }

 private:
  friend class TailCache;
  void touch(TailCache& cache);
  void shrink();
  const std::uint64_t bytes_max_;
  std::uint64_t bytes_ = 0;
  IntrusiveList<TailCache> by_age_;  // least recent append first
};

class TailCache : public ListLink {
 public:
  TailCache(SlabPool& slabs, CacheBudget& budget, std::uint64_t bytes_max);
  ~TailCache();

  // -- staging. `at` rises; a new block begins at a multiple of commit_alignment.
  // Whether `bytes` from `at` fit in the newest block.
  bool fits(Position at, std::size_t bytes) const;
  // Begins a block at `at` with room for at least `bytes`. False when there is no memory.
  bool begin_block(Position at, std::size_t bytes);
  // The memory of [at, at + bytes) in the newest block.
  MutableBytes room(Position at, std::size_t bytes);
  // A batch that was written into room() became part of the log.
  void note(const BatchHeader& header, Position at);
  // A new segment begins: its positions start again.
  void end_segment() { open_ = false; }
  // Drops what was staged at and after `end`.
  void drop_from(Offset end);
  void clear();

  // -- writing. The staged bytes [from, to), at most one piece per block.
  std::vector<Buffer> pieces(Offset first_offset, Position from, Position to) const;

  // -- reading
  struct Cached {
    Buffer bytes;  // whole batches
    Offset next;   // behind the last of them
  };
  // Runs of whole batches from the one that holds `from` to `limit`, at least one batch, about
  // `bytes_max`. Empty when `from` is not here.
  std::vector<Cached> find(Offset from, Offset limit, std::size_t bytes_max) const;
  // Each batch of [from, limit) that is here.
  std::vector<Buffer> batches(Offset from, Offset limit) const;

  // -- room. What is durable may be evicted.
  void set_durable(Offset end);
  void set_bytes_max(std::uint64_t bytes_max) { bytes_max_ = bytes_max; }
  std::uint64_t bytes() const { return bytes_; }

 private:
  friend class CacheBudget;
  struct Entry {
    Offset base_offset;
    std::uint32_t event_count;
    std::uint32_t at;     // byte in the block
    std::uint32_t bytes;  // padded to 8
    Offset end() const { return base_offset + event_count; }
  };
  struct Block {
    Buffer slab;
    Position begin;
    std::vector<Entry> entries;
  };
  // Evicts the oldest block if all of it is durable.
  bool evict_oldest();
  void drop_block(std::size_t index);
  void shrink();

  SlabPool& slabs_;
  CacheBudget& budget_;
  std::uint64_t bytes_max_;
  std::deque<Block> blocks_;
  std::uint64_t bytes_ = 0;
  Offset durable_end_;
  bool open_ = false;  // the newest block takes more
  std::size_t next_block_bytes_;
};

}  // namespace millrace
