// One I/O in flight, embedded in the operation that owns it.
//
// Owner: the staged operation; it must stay where it is until the I/O has completed, and a
// Completion that dies while its I/O is in flight is a broken invariant. Thread: the owning
// shard's; a Disk calls back only from its reap, never from the call that started the I/O.
#pragma once

#include "storage/base/check.h"
#include "storage/base/result.h"

#include <cstddef>
#include <utility>

namespace millrace {

// A byte count (reads, writes), a file id (open), a size (file_size), or 0.
using IoResult = Result<std::size_t>;

class Completion {
 public:
  using Handler = void (*)(void* owner, IoResult result);

  Completion(void* owner, Handler handler) : owner_(owner), handler_(handler) {}
  Completion(const Completion&) = delete;
  Completion& operator=(const Completion&) = delete;
  ~Completion() { CHECK(!in_flight_, "an operation died with I/O in flight"); }

  // A handler that calls `owner->Member(result)`.
  template <auto Member, class Owner>
  static Handler to() {
    return [](void* owner, IoResult result) {
      (static_cast<Owner*>(owner)->*Member)(std::move(result));
    };
  }

  bool in_flight() const { return in_flight_; }

  // For disks: exactly one start and one finish per I/O.
  void start() {
    CHECK(!in_flight_, "a completion carries one I/O at a time");
    in_flight_ = true;
  }
  void finish(IoResult result) {
    CHECK(in_flight_, "an I/O completed that was never started");
    in_flight_ = false;
    handler_(owner_, std::move(result));
  }

 private:
  void* owner_;
  Handler handler_;
  bool in_flight_ = false;
};

}  // namespace millrace
