// What came for a reader and was not taken yet: messages of whole batches and errors, in order per
// partition.
//
// Thread: put by the loop, taken by the user's thread. Bounded by whoever grants credit, not here.
#pragma once

#include "millrace/error.h"

#include <zmq.hpp>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <vector>

namespace millrace::detail {

struct Delivered {
  std::uint32_t slot = 0;  // which of the reader's partitions
  std::vector<zmq::message_t> frames;
  std::uint64_t next_offset =
      0;  // behind the last batch of `frames`, or where reading goes on after `error`
  std::uint64_t partition_end = 0;
  std::optional<ClientError> error;

  std::size_t bytes() const {
    std::size_t sum = 0;
    for (const zmq::message_t& frame : frames) sum += frame.size();
    return sum;
  }
};

class Inbox {
 public:
  void put(Delivered delivered) {
    {
      std::lock_guard lock(mutex_);
      queue_.push_back(std::move(delivered));
    }
    changed_.notify_one();
  }
  std::optional<Delivered> take(std::chrono::steady_clock::time_point until) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_until(lock, until, [&] { return !queue_.empty(); })) return std::nullopt;
    Delivered first = std::move(queue_.front());
    queue_.pop_front();
    return first;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Delivered> queue_;
};

}  // namespace millrace::detail
