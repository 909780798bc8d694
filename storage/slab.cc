#include "storage/slab.h"

#include "storage/base/check.h"
#include "storage/base/units.h"

#include <sys/mman.h>

#include <map>
#include <mutex>
#include <vector>

namespace millrace {

// The one cross-thread spot of the data path: a short lock around a free list, taken once per block
// (64 KiB to 1 MiB), not per message. It is never held across a system call that can block for
// long, an allocation of the caller's, or a callback.
class SlabPoolCore {
 public:
  explicit SlabPoolCore(std::size_t idle_bytes_max) : idle_bytes_max_(idle_bytes_max) {}

  Slab* take(std::size_t capacity) {
    {
      const std::lock_guard lock(mutex_);
      auto& free = idle_[capacity];
      if (!free.empty()) {
        Slab* slab = free.back();
        free.pop_back();
        idle_bytes_ -= capacity;
        used_bytes_ += capacity;
        ++owners_;
        slab->references_.store(1, std::memory_order_relaxed);
        return slab;
      }
    }
    void* memory =
        mmap(nullptr, capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return nullptr;
    auto* slab = new Slab;
    slab->data_ = static_cast<std::byte*>(memory);
    slab->capacity_ = capacity;
    slab->pool_ = this;
    const std::lock_guard lock(mutex_);
    used_bytes_ += capacity;
    ++owners_;
    return slab;
  }

  void give_back(Slab* slab) {
    bool keep = false;
    {
      const std::lock_guard lock(mutex_);
      used_bytes_ -= slab->capacity_;
      keep = !closed_ && idle_bytes_ + slab->capacity_ <= idle_bytes_max_;
      if (keep) {
        idle_[slab->capacity_].push_back(slab);
        idle_bytes_ += slab->capacity_;
      }
    }
    if (!keep) destroy(slab);
    drop_owner();
  }

  // The pool itself is one owner, every block that somebody holds is one more.
  void drop_owner() {
    bool last = false;
    {
      const std::lock_guard lock(mutex_);
      last = --owners_ == 0;
    }
    if (last) delete this;
  }

  void close() {
    std::map<std::size_t, std::vector<Slab*>> idle;
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
      idle.swap(idle_);
      idle_bytes_ = 0;
    }
    for (auto& [capacity, slabs] : idle)
      for (Slab* slab : slabs) destroy(slab);
    drop_owner();
  }

  std::size_t used_bytes() {
    const std::lock_guard lock(mutex_);
    return used_bytes_;
  }
  std::size_t idle_bytes() {
    const std::lock_guard lock(mutex_);
    return idle_bytes_;
  }

 private:
  static void destroy(Slab* slab) {
    munmap(slab->data_, slab->capacity_);
    delete slab;
  }

  std::mutex mutex_;
  std::map<std::size_t, std::vector<Slab*>> idle_;
  std::size_t idle_bytes_ = 0;
  std::size_t used_bytes_ = 0;
  const std::size_t idle_bytes_max_;
  std::size_t owners_ = 1;
  bool closed_ = false;
};

void Buffer::acquire() {
  if (slab_ != nullptr) slab_->references_.fetch_add(1, std::memory_order_relaxed);
}

void Buffer::release() {
  if (slab_ == nullptr) return;
  // Everything this owner read happened before the block is filled again.
  if (slab_->references_.fetch_sub(1, std::memory_order_acq_rel) == 1)
    slab_->pool_->give_back(slab_);
  slab_ = nullptr;
}

Buffer Buffer::slice(std::size_t from, std::size_t count) const {
  CHECK(from <= bytes_.size() && count <= bytes_.size() - from, "a slice lies inside its buffer");
  Buffer part(slab_, bytes_.subspan(from, count));
  part.acquire();
  return part;
}

SlabPool::SlabPool(std::size_t idle_bytes_max) : core_(new SlabPoolCore(idle_bytes_max)) {}
SlabPool::~SlabPool() { core_->close(); }

Buffer SlabPool::take(std::size_t bytes) {
  Slab* slab = core_->take(align_up(bytes == 0 ? 1 : bytes, 4096));
  if (slab == nullptr) return {};
  return {slab, ByteView(slab->data_, slab->capacity_)};
}

std::size_t SlabPool::used_bytes() const { return core_->used_bytes(); }
std::size_t SlabPool::idle_bytes() const { return core_->idle_bytes(); }

}  // namespace millrace
