// Aligned, reference-counted blocks of memory: staging for appends, source of O_DIRECT writes, tail
// cache, target of cold reads, and payload of every message that leaves, in one. A byte that
// arrived is copied into a slab once.
//
//   Slab    one block and its count. Its bytes below what was handed out never change again.
//   Buffer  an owning view of a part of a slab: hold it and the bytes stay.
//
// Thread: slabs are taken and filled on the owning shard. A Buffer may be copied and dropped on any
// thread (libzmq frees messages on its own); the last drop gives the block back to the pool, which
// keeps a bounded number of idle blocks. Lifetime: blocks may outlive their SlabPool; the last one
// takes the pool's core with it.
#pragma once

#include "storage/base/bytes.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace millrace {

class SlabPoolCore;

// Internal to slab.h users: the counted block.
class Slab {
 public:
  std::byte* data() { return data_; }
  const std::byte* data() const { return data_; }
  std::size_t capacity() const { return capacity_; }

 private:
  friend class SlabPool;
  friend class SlabPoolCore;
  friend class Buffer;
  Slab() = default;
  std::atomic<std::uint32_t> references_{1};
  std::byte* data_ = nullptr;
  std::size_t capacity_ = 0;
  SlabPoolCore* pool_ = nullptr;
};

class Buffer {
 public:
  Buffer() = default;
  Buffer(const Buffer& other) : slab_(other.slab_), bytes_(other.bytes_) { acquire(); }
  Buffer(Buffer&& other) noexcept
      : slab_(std::exchange(other.slab_, nullptr)), bytes_(std::exchange(other.bytes_, {})) {}
  Buffer& operator=(Buffer other) noexcept {
    std::swap(slab_, other.slab_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Buffer() { release(); }

  ByteView bytes() const { return bytes_; }
  std::size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }
  // Another owner of [from, from + count) of these bytes.
  Buffer slice(std::size_t from, std::size_t count) const;
  // The whole block, for whoever fills it; null for an empty Buffer.
  Slab* slab() const { return slab_; }

 private:
  friend class SlabPool;
  Buffer(Slab* slab, ByteView bytes) : slab_(slab), bytes_(bytes) {}
  void acquire();
  void release();
  Slab* slab_ = nullptr;
  ByteView bytes_;
};

class SlabPool {
 public:
  // `idle_bytes_max`: how much memory of dropped blocks is kept for the next taker.
  explicit SlabPool(std::size_t idle_bytes_max);
  SlabPool(const SlabPool&) = delete;
  SlabPool& operator=(const SlabPool&) = delete;
  ~SlabPool();

  // A block of at least `bytes`, page-aligned, contents undefined; the Buffer covers its whole
  // capacity. Sizes are rounded up to 4 KiB. Empty if the system has no memory.
  Buffer take(std::size_t bytes);

  // Memory of blocks that somebody holds, and of blocks kept idle.
  std::size_t used_bytes() const;
  std::size_t idle_bytes() const;

 private:
  SlabPoolCore* core_;
};

}  // namespace millrace
