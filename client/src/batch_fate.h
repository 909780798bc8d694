// What became of one batch; every Delivery of its events points here.
//
// Thread: decided once on the loop's thread, read on any.
#pragma once

#include "millrace/producer.h"

#include <condition_variable>
#include <mutex>
#include <optional>
#include <variant>

namespace millrace::detail {

struct BatchFate {
  explicit BatchFate(std::uint32_t partition_of_batch, std::chrono::milliseconds longest_wait)
      : partition(partition_of_batch), wait_max(longest_wait) {}

  const std::uint32_t partition;
  const std::chrono::milliseconds wait_max;

  struct Acked {
    std::optional<std::uint64_t> base_offset;
    std::int64_t append_time_ns = 0;
    AckLevel ack = AckLevel::durable;
  };
  using Verdict = std::variant<std::monostate, Acked, ClientError>;

  void decide(Verdict verdict_of_batch) {
    {
      std::lock_guard lock(mutex);
      verdict = std::move(verdict_of_batch);
    }
    changed.notify_all();
  }

  mutable std::mutex mutex;
  mutable std::condition_variable changed;
  Verdict verdict;  // guarded; monostate: not known yet
};

}  // namespace millrace::detail
