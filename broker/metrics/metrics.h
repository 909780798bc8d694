// Counters of one shard. Written by the shard's thread, read by others (HTTP), so each is a relaxed
// atomic; sums over shards are made on read. Names and meaning: docs/operations.md, "Metrics".
#pragma once

#include "storage/base/result.h"

#include <array>
#include <atomic>
#include <cstdint>

namespace millrace {

class Counter {
 public:
  void add(std::uint64_t n = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  void set(std::uint64_t n) { value_.store(n, std::memory_order_relaxed); }
  std::uint64_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

// Durations in buckets of powers of two from 1 µs: bucket i counts those in [2^(i-1), 2^i) µs.
class LatencyHistogram {
 public:
  static constexpr std::size_t buckets = 32;
  void record_ns(std::int64_t ns) {
    std::size_t bucket = 0;
    for (std::int64_t us = ns / 1000; us > 0 && bucket + 1 < buckets; us >>= 1) ++bucket;
    counts_[bucket].add();
    sum_us_.add(static_cast<std::uint64_t>(ns > 0 ? ns / 1000 : 0));
  }
  std::uint64_t count(std::size_t bucket) const { return counts_[bucket].get(); }
  std::uint64_t sum_us() const { return sum_us_.get(); }

 private:
  std::array<Counter, buckets> counts_;
  Counter sum_us_;
};

struct ShardMetrics {
  static constexpr std::size_t reasons = 128;
  Counter requests;                              // all kinds
  std::array<Counter, reasons> rejected;         // replies with an error, by Errc number
  std::array<Counter, reasons> append_rejected;  // the same, of produce requests alone
  Counter append_bytes;
  Counter events_appended;
  LatencyHistogram append_latency;  // request received to ack handed to the socket
  LatencyHistogram sync_latency;    // one commit
  Counter commits;
  Counter commit_events;  // events that became durable
  Counter events_fetched;
  Counter fetch_bytes;
  LatencyHistogram fetch_latency;
  Counter live_published, live_bytes;
  Counter live_dropped;  // batches not published because too many bytes waited
  Counter replies_undeliverable;
  Counter connections_refused;                // for want of descriptors
  Counter clients;                            // gauge: clients with state here
  Counter subscriptions, parked_fetches;      // gauges
  Counter staged_bytes, reply_bytes;          // gauges
  Counter disk_free_bytes, disk_total_bytes;  // gauges
  Counter disk_watermark_state;               // gauge: 0 fine, 1 warn, 2 produce refused
  Counter appends_paused;                     // gauge: 1 for want of space, whoever found it
  Counter io_in_flight;                       // gauge
  Counter corrupt_ranges, corrupt_events;     // gauges
  Counter scrubbed_bytes, scrub_passes, scrub_faults;
  LatencyHistogram loop_turn;
};

}  // namespace millrace
