#include "tests/support/batch_maker.h"

#include "schemas/batch_body.h"

#include <stdexcept>

namespace millrace::test {

Bytes make_batch(const std::vector<TestEvent>& events, const TestSession& session) {
  BatchBodyBuilder body;
  for (const auto& event : events) {
    body.add(as_bytes(event.key), as_bytes(event.payload), {}, session.time_ns);
  }
  Bytes batch = body.finish(batch_layout::header_bytes);
  BatchDraft draft;
  draft.raw_bytes = static_cast<std::uint32_t>(batch.size() - batch_layout::header_bytes);
  draft.event_count = body.event_count();
  draft.max_event_time = WallTime{session.time_ns};
  draft.producer_id = session.producer_id;
  draft.producer_epoch = session.epoch;
  draft.sequence = session.sequence;
  seal_batch(batch, draft);
  return batch;
}

Bytes make_batch(std::string_view payload, const TestSession& session) {
  return make_batch(std::vector<TestEvent>{{"", std::string(payload)}}, session);
}

Bytes make_batch_of_bytes(std::size_t batch_bytes, char fill) {
  const std::size_t overhead = make_batch("").size() + 8;  // the payload's own padding
  if (batch_bytes <= overhead) throw std::runtime_error("no batch is that short");
  return make_batch(std::string(batch_bytes - overhead, fill));
}

std::vector<TestEvent> random_events(Random& random, const RandomBatchLimits& limits) {
  std::vector<TestEvent> events(1 + random.below(limits.events_max));
  for (auto& event : events) {
    if (random.chance(1, 2)) event.key = "key-" + std::to_string(random.below(50));
    event.payload.resize(random.below(limits.payload_bytes_max + 1));
    for (auto& c : event.payload) c = static_cast<char>(random.below(256));
  }
  return events;
}

Bytes random_bytes(Random& random, std::size_t count) {
  Bytes bytes(count);
  for (auto& b : bytes) b = static_cast<std::byte>(random.below(256));
  return bytes;
}

BatchView view_of(ByteView bytes) {
  auto batch = BatchView::parse(bytes);
  if (!batch) throw std::runtime_error("not a batch: " + batch.error().to_string());
  return *batch;
}

std::vector<TestEvent> events_of(const BatchView& batch) {
  // A copy, because a body is read on an 8-byte boundary and `batch` may lie anywhere.
  const Bytes copy(batch.body().begin(), batch.body().end());
  auto body = BatchBodyView::parse(copy, batch.header().event_count);
  if (!body) throw std::runtime_error("not a body: " + body.error().to_string());
  std::vector<TestEvent> events;
  for (std::uint32_t i = 0; i < body->event_count(); ++i) {
    events.push_back({std::string(as_text(body->key(i))), std::string(as_text(body->payload(i)))});
  }
  return events;
}

std::vector<TestEvent> all_events_of(ByteView batches) {
  std::vector<TestEvent> events;
  BatchCursor cursor(batches);
  for (auto batch = cursor.next();; batch = cursor.next()) {
    if (!batch) {
      if (batch.error().code == Errc::not_found) return events;
      throw std::runtime_error("not batches: " + batch.error().to_string());
    }
    const auto more = events_of(*batch);
    events.insert(events.end(), more.begin(), more.end());
  }
}

Bytes flipped(ByteView bytes, std::size_t at, std::uint8_t bits) {
  Bytes copy(bytes.begin(), bytes.end());
  copy.at(at) ^= static_cast<std::byte>(bits);
  return copy;
}

}  // namespace millrace::test
