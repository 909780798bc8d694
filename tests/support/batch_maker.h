// Whole batches as a producer would send them, and back.
#pragma once

#include "storage/base/bytes.h"
#include "storage/base/random.h"
#include "storage/format/batch.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::test {

struct TestEvent {
  std::string key;
  std::string payload;
  friend bool operator==(const TestEvent&, const TestEvent&) = default;
};

// What a batch says of its producer; the defaults are a batch without a session.
struct TestSession {
  std::uint64_t producer_id = 0;
  std::uint32_t epoch = 0;
  std::uint64_t sequence = 0;
  std::int64_t time_ns = 1'700'000'000'000'000'000;
};

using Bytes = std::vector<std::byte>;

Bytes make_batch(const std::vector<TestEvent>& events, const TestSession& session = {});
// One event without a key.
Bytes make_batch(std::string_view payload, const TestSession& session = {});
// One event whose payload makes the whole batch about this long, never longer.
Bytes make_batch_of_bytes(std::size_t batch_bytes, char fill = 'x');

struct RandomBatchLimits {
  std::uint32_t events_max = 8;
  std::uint32_t payload_bytes_max = 200;
};
std::vector<TestEvent> random_events(Random& random, const RandomBatchLimits& limits = {});
Bytes random_bytes(Random& random, std::size_t count);

// Verifies that this is one batch and its body; the view is valid while `bytes` are. Throws
// std::runtime_error otherwise, which a test reports as its failure.
BatchView view_of(ByteView bytes);
std::vector<TestEvent> events_of(const BatchView& batch);
// The same for bytes that lie one after the other, as in a read.
std::vector<TestEvent> all_events_of(ByteView batches);

// A copy with these bits of one byte turned over.
Bytes flipped(ByteView bytes, std::size_t at, std::uint8_t bits);

}  // namespace millrace::test
