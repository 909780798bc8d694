#include "client/src/batcher.h"

#include "storage/base/crc32c.h"

#include <catch2/catch.hpp>

#include <string>

using namespace millrace;
using detail::Batcher;

namespace {

Batcher batcher_of(std::uint32_t partitions, std::size_t batch_bytes = 1'000) {
  return Batcher({partitions, batch_bytes, std::chrono::seconds(1)});
}

Event event_of(std::string_view key, std::string_view payload) {
  Event event;
  event.key = key;
  event.payload = payload;
  return event;
}

}  // namespace

TEST_CASE("an event that does not fit begins the next batch, and the full one goes first") {
  Batcher batcher = batcher_of(1);
  const std::string payload(300, 'x');
  for (int i = 0; i < 5; ++i) batcher.add(0, event_of({}, payload), {}, 1);
  CHECK(batcher.has_full(0));
  std::uint32_t events = 0;
  std::uint64_t serial = 0;
  while (auto batch = batcher.next(0, false)) {
    CHECK(batch->serial == serial++);
    CHECK(batch->body.body_bytes() <= 1'000);
    events += batch->body.event_count();
  }
  CHECK(events < 5);
  auto filling = batcher.next(0, true);
  REQUIRE(filling != nullptr);
  CHECK(events + filling->body.event_count() == 5);
  CHECK_FALSE(batcher.has_any(0));
  CHECK(batcher.next(0, true) == nullptr);
}

TEST_CASE("an event larger than a batch goes alone") {
  Batcher batcher = batcher_of(1);
  batcher.add(0, event_of({}, "small"), {}, 1);
  batcher.add(0, event_of({}, std::string(5'000, 'x')), {}, 1);
  batcher.add(0, event_of({}, "small"), {}, 1);
  for (int i = 0; i < 3; ++i) CHECK(batcher.next(0, true)->body.event_count() == 1);
}

TEST_CASE("the turn of keyless events passes with the batch, taken or full") {
  Batcher batcher = batcher_of(3);
  const std::string payload(300, 'x');
  const Event event = event_of({}, payload);
  CHECK(batcher.route(event, {}) == 0);
  batcher.add(0, event, {}, 1);
  CHECK(batcher.route(event, {}) == 0);
  CHECK(batcher.next(0, true) != nullptr);
  CHECK(batcher.route(event, {}) == 1);
  for (int i = 0; i < 2; ++i) batcher.add(1, event, {}, 1);
  CHECK(batcher.route(event, {}) == 2);  // a third does not fit
  CHECK(batcher.has_full(1));
  batcher.add(2, event, {}, 1);
  CHECK(batcher.next(2, true) != nullptr);
  CHECK(batcher.route(event, {}) == 0);
}

TEST_CASE("a key's partition is its checksum modulo the partitions") {
  Batcher batcher = batcher_of(7);
  for (int i = 0; i < 100; ++i) {
    const std::string key = "key " + std::to_string(i);
    CHECK(batcher.route(event_of(key, "x"), {}) == crc32c(as_bytes(key)) % 7);
  }
}

TEST_CASE("a recycled batch is empty and has a fate of its own") {
  Batcher batcher = batcher_of(1);
  const auto first = batcher.add(0, event_of("k", "v"), {}, 5);
  CHECK(first.index == 0);
  auto batch = batcher.next(0, true);
  const auto fate = batch->fate;
  batcher.recycle(std::move(batch));
  const auto second = batcher.add(0, event_of("k", "v"), {}, 6);
  CHECK(second.index == 0);
  CHECK(second.batch->body.event_count() == 1);
  CHECK(second.batch->fate != fate);
  CHECK(batcher.batches_begun() == 2);
}
