#include "millrace/reader.h"
#include "tests/client/client_verbs.h"
#include "tests/support/batch_maker.h"

#include <catch2/catch.hpp>

#include <thread>

using namespace millrace;
using namespace std::chrono_literals;
using test::connect;
using test::FakeAnswer;
using test::FakeBroker;
using test::FakeRequest;
using test::make_batch;
using test::numbers;

namespace {

using Feed = FakeBroker::Feed;

LiveReader live_reader_of(const FakeBroker& broker, ReaderOptions options = {}) {
  auto reader = LiveReader::open(connect(broker), "orders", options);
  REQUIRE(reader.has_value());
  return std::move(*reader);
}

void append_numbers(FakeBroker& broker, int begin, int end, Feed feed) {
  for (int i = begin; i < end; ++i) broker.append(0, make_batch(std::to_string(i)), feed);
}

std::vector<std::string> read(LiveReader& reader, std::size_t count) {
  std::vector<std::string> out;
  while (out.size() < count) {
    const auto batch = reader.next(test::patience);
    REQUIRE(batch.has_value());
    REQUIRE_FALSE(batch->events.empty());  // else our patience is over
    for (const EventView& event : batch->events) out.emplace_back(event.payload);
  }
  return out;
}

}  // namespace

TEST_CASE("options that could never work are refused by a live reader, with the limits") {
  FakeBroker broker;
  ReaderOptions options;
  options.credit_bytes = 0;
  const auto refused = LiveReader::open(connect(broker), "orders", options);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().text.find("65536") != std::string::npos);
}

TEST_CASE("what is published after the reader was opened is seen, and nothing from before") {
  FakeBroker broker;
  append_numbers(broker, 0, 5, Feed::publish);
  LiveReader reader = live_reader_of(broker);
  append_numbers(broker, 5, 25, Feed::publish);
  CHECK(read(reader, 20) == numbers(5, 25));
}

TEST_CASE("what the feed dropped in the middle is fetched and comes in its place") {
  FakeBroker broker;
  LiveReader reader = live_reader_of(broker);
  append_numbers(broker, 0, 3, Feed::publish);
  CHECK(read(reader, 3) == numbers(0, 3));
  (void)reader.take_gaps();
  append_numbers(broker, 3, 7, Feed::silent);
  append_numbers(broker, 7, 9, Feed::publish);
  CHECK(read(reader, 6) == numbers(3, 9));
  // One gap; more in a row when the reader looked for the end between two of the events.
  std::uint64_t next = 3;
  for (const LiveGap& gap : reader.take_gaps()) {
    CHECK(gap.begin == next);
    CHECK(gap.repaired);
    next = gap.end;
  }
  CHECK(next >= 7);
  CHECK(reader.take_gaps().empty());
}

TEST_CASE("a dropped last message is found though nothing follows it") {
  FakeBroker broker;
  LiveReader reader = live_reader_of(broker);
  append_numbers(broker, 0, 4, Feed::silent);
  CHECK(read(reader, 4) == numbers(0, 4));
  const auto gaps = reader.take_gaps();
  REQUIRE_FALSE(gaps.empty());
  CHECK(gaps.front().begin == 0);
  CHECK(gaps.back().end == 4);
}

TEST_CASE("what retention removed before the repair is reported, and reading goes on") {
  FakeBroker broker;
  LiveReader reader = live_reader_of(broker);
  broker.trim(0, 4);  // first, else they might be found in time
  append_numbers(broker, 0, 6, Feed::silent);
  append_numbers(broker, 6, 8, Feed::publish);
  std::vector<std::string> seen;
  bool reported = false;
  while (seen.size() < 4) {
    const auto batch = reader.next(test::patience);
    if (!batch) {
      CHECK(batch.error().name == "offset_out_of_range");
      CHECK(batch.error().range_begin == 4);
      reported = true;
      continue;
    }
    for (const EventView& event : batch->events) seen.emplace_back(event.payload);
  }
  CHECK(reported);
  CHECK(seen == numbers(4, 8));
  const auto gaps = reader.take_gaps();
  REQUIRE_FALSE(gaps.empty());
  CHECK(gaps[0].begin == 0);
  CHECK(gaps[0].end == 4);
  CHECK_FALSE(gaps[0].repaired);
}

TEST_CASE("events of the time when the broker was away are repaired after it is back") {
  FakeBroker broker;
  LiveReader reader = live_reader_of(broker);
  append_numbers(broker, 0, 2, Feed::publish);
  CHECK(read(reader, 2) == numbers(0, 2));
  broker.stop();
  append_numbers(broker, 2, 6, Feed::silent);
  broker.start();
  CHECK(read(reader, 4) == numbers(2, 6));
}

TEST_CASE("a user who does not take what comes loses nothing and costs bounded memory") {
  FakeBroker broker;
  ReaderOptions options;
  options.credit_bytes = 64 * 1024;
  LiveReader reader = live_reader_of(broker, options);
  for (int i = 0; i < 50; ++i)
    broker.append(0, test::make_batch_of_bytes(16 * 1024), Feed::publish);
  std::uint64_t next = 0;
  while (next < 50) {
    const auto batch = reader.next(test::patience);
    REQUIRE(batch.has_value());
    for (const EventView& event : batch->events) CHECK(event.offset == next++);
  }
}

TEST_CASE("every partition of the topic is followed") {
  FakeBroker broker({"orders", 3});
  LiveReader reader = live_reader_of(broker);
  for (int i = 0; i < 30; ++i)
    broker.append(static_cast<std::uint32_t>(i % 3), make_batch(std::to_string(i)), Feed::publish);
  int next[3] = {0, 1, 2};
  for (int seen = 0; seen < 30;) {
    const auto batch = reader.next(test::patience);
    REQUIRE(batch.has_value());
    for (const EventView& event : batch->events) {
      CHECK(event.payload == std::to_string(next[event.partition]));
      next[event.partition] += 3;
      ++seen;
    }
  }
}
