// Produces as fast as it is acked: threads with a connection and a producer each, payloads with a
// number in them.
#pragma once

#include "bench_topic.h"
#include "commands.h"
#include "latency_sample.h"

#include <cstdint>
#include <string>

namespace millrace::cli {

struct BenchLoadResult {
  std::uint64_t events = 0;  // acked
  std::uint64_t bytes = 0;   // payload of all that was sent
  std::uint64_t unacked = 0;
  double seconds = 0;
  // From send() to the ack, of about one event per batch. Deliveries are awaited in the order of
  // sending, so of two partitions the faster one may look as slow as the other.
  LatencySample latency;
  std::string failure;  // the first error line; empty: none
};

// Stops after `events`, after `seconds` or at an interrupt, whichever comes first.
BenchLoadResult run_bench_load(const Context& context, const BenchArguments& arguments,
                               const BenchTopic& topic);

// One event in flight at a time, by one producer.
BenchLoadResult run_bench_latency(const Context& context, const BenchArguments& arguments,
                                  const BenchTopic& topic);

// The number that an event of a bench carries: of its producer, counted from 0.
struct BenchStamp {
  std::uint64_t producer = 0;
  std::uint64_t number = 0;
};
inline constexpr std::uint64_t bench_event_bytes_min = sizeof(BenchStamp);

inline constexpr std::uint64_t bench_events_default = 1'000'000;

}  // namespace millrace::cli
