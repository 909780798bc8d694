// Partitions whose logs have staged batches: those that the end of the turn must flush.
//
// Owner: Shard. Thread: the shard's. A partition stays here until all it appended is durable,
// because a flush does nothing while a commit is in flight: what arrived meanwhile leaves with the
// next one.
#pragma once

#include "storage/base/intrusive_list.h"

#include <cstdint>

namespace millrace {

class FlushList {
 public:
  // An element of the list.
  class Member : public ListLink {
   public:
    // Starts what can be started.
    virtual void flush() = 0;
    virtual bool has_staged() const = 0;
    virtual std::uint64_t staged_bytes() const = 0;

   protected:
    ~Member() = default;
  };

  // Something of `bytes` was staged.
  void add(Member& member, std::uint64_t bytes);
  void flush_all();
  // Of all members; exact after flush_all, an upper bound within the turn.
  std::uint64_t staged_bytes() const { return staged_bytes_; }
  bool empty() const { return members_.empty(); }

 private:
  IntrusiveList<Member> members_;
  std::uint64_t staged_bytes_ = 0;
};

}  // namespace millrace
