#include "millrace/reader.h"

#include "millrace/producer.h"
#include "storage/format/batch_layout.h"
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

using Kind = FakeRequest::Kind;

Reader reader_of(const Client& client, Place begin, std::optional<Place> end = {},
                 ReaderOptions options = {}) {
  auto reader = Reader::open(client, "orders", begin, end, options);
  REQUIRE(reader.has_value());
  return std::move(*reader);
}

// Payloads of the next `count` events, or of all until the reader is finished.
std::vector<std::string> read(Reader& reader, std::size_t count = SIZE_MAX) {
  std::vector<std::string> out;
  while (out.size() < count && !reader.finished()) {
    const auto batch = reader.next(test::patience);
    REQUIRE(batch.has_value());
    REQUIRE_FALSE(batch->events.empty());  // else our patience is over
    for (const EventView& event : batch->events) out.emplace_back(event.payload);
  }
  return out;
}

void append_numbers(FakeBroker& broker, int begin, int end) {
  for (int i = begin; i < end; ++i) broker.append(0, make_batch(std::to_string(i)));
}

}  // namespace

TEST_CASE("history runs into live without a seam") {
  FakeBroker broker;
  append_numbers(broker, 0, 50);
  Reader reader = reader_of(connect(broker), Place::from_start());
  CHECK(read(reader, 50) == numbers(0, 50));
  append_numbers(broker, 50, 60);
  CHECK(read(reader, 10) == numbers(50, 60));
  CHECK(reader.position(0) == 60);
  CHECK_FALSE(reader.finished());
}

TEST_CASE("an event view shows what the producer gave, without a copy of the payload's place") {
  FakeBroker broker;
  Client client = connect(broker);
  auto producer = Producer::open(client, "orders");
  REQUIRE(producer.has_value());
  const HeaderField fields[] = {{"trace", "abc"}, {"empty", ""}};
  Event event;
  event.key = "k";
  event.payload = "value";
  event.headers = fields;
  event.time_ns = 1234;
  REQUIRE(producer->send(event)->wait().has_value());
  Reader reader = reader_of(client, Place::from_start());
  const auto batch = reader.next(test::patience);
  REQUIRE(batch.has_value());
  REQUIRE(batch->events.size() == 1);
  const EventView& view = batch->events[0];
  CHECK(view.topic == "orders");
  CHECK(view.offset == 0);
  CHECK(view.key == "k");
  CHECK(view.payload == "value");
  CHECK(view.time_ns == 1234);
  CHECK(view.append_time_ns == 1);
  CHECK(reinterpret_cast<std::uintptr_t>(view.payload.data()) % 8 == 0);
  const auto headers = view.headers();
  REQUIRE(headers.size() == 2);
  CHECK(headers[0].name == "trace");
  CHECK(headers[0].value == "abc");
  CHECK(headers[1].value.empty());
}

TEST_CASE("a range begins and ends inside of batches") {
  FakeBroker broker;
  broker.append(0, make_batch({{"", "0"}, {"", "1"}, {"", "2"}}));
  broker.append(0, make_batch({{"", "3"}, {"", "4"}, {"", "5"}}));
  Reader reader = reader_of(connect(broker), Place::at(1), Place::at(4));
  CHECK(read(reader) == numbers(1, 4));
  CHECK(reader.finished());
  const auto after = reader.next(0ms);
  REQUIRE(after.has_value());
  CHECK(after->events.empty());
}

TEST_CASE("an empty range is finished at once and an end stays where it stood") {
  FakeBroker broker;
  Client client = connect(broker);
  Reader empty = reader_of(client, Place::from_start(), Place::from_end());
  CHECK(empty.finished());
  append_numbers(broker, 0, 5);
  Reader reader = reader_of(client, Place{Place::Kind::before_end, 2}, Place::from_end());
  append_numbers(broker, 5, 9);
  CHECK(read(reader) == numbers(3, 5));
}

TEST_CASE("nothing within the wait gives an empty batch") {
  FakeBroker broker;
  Reader reader = reader_of(connect(broker), Place::from_end());
  const auto batch = reader.next(1ms);
  REQUIRE(batch.has_value());
  CHECK(batch->events.empty());
}

TEST_CASE(
    "after a break reading goes on at the next offset, with nothing twice and nothing missed") {
  FakeBroker broker;
  Reader reader = reader_of(connect(broker), Place::from_start());
  for (int round = 0; round < 5; ++round) {
    append_numbers(broker, 10 * round, 10 * round + 5);
    CHECK(read(reader, 5) == numbers(10 * round, 10 * round + 5));
    broker.stop();
    append_numbers(broker, 10 * round + 5, 10 * round + 10);
    broker.start();
    CHECK(read(reader, 5) == numbers(10 * round + 5, 10 * round + 10));
  }
}

TEST_CASE("credit is given back as events are used, and never exceeded by much") {
  FakeBroker broker;
  for (int i = 0; i < 100; ++i) broker.append(0, test::make_batch_of_bytes(16 * 1024));
  ReaderOptions options;
  options.credit_bytes = 64 * 1024;
  Reader reader = reader_of(connect(broker), Place::from_start(), Place::from_end(), options);
  CHECK(read(reader).size() == 100);
  std::uint64_t granted = 0;
  for (const FakeRequest& request : broker.requests()) granted += request.credit_bytes;
  CHECK(granted >= 100 * 16 * 1000 - 64 * 1024);
  CHECK(granted <= 100 * 17 * 1024 + 64 * 1024);
  CHECK(broker.count(Kind::credit) >= 10);
}

TEST_CASE("PR-14: a reader that takes nothing is sent no more than its credit") {
  FakeBroker broker;
  for (int i = 0; i < 100; ++i) broker.append(0, test::make_batch_of_bytes(16 * 1024));
  ReaderOptions options;
  options.credit_bytes = 64 * 1024;
  Client client = connect(broker);
  Reader reader = reader_of(client, Place::from_start(), {}, options);
  while (broker.count(Kind::subscribe) == 0) std::this_thread::yield();
  REQUIRE(client.ping().has_value());
  CHECK(broker.count(Kind::credit) == 0);
}

TEST_CASE("damaged bytes are reported with their offsets once and reading goes on behind them") {
  struct Row {
    const char* name;
    std::size_t at;
  };
  for (const Row& row : {Row{"header", 30}, Row{"body", batch_layout::header_bytes + 40}}) {
    INFO(row.name);
    FakeBroker broker;
    append_numbers(broker, 0, 2);
    broker.append_damaged(0, make_batch({{"", "2"}, {"", "3"}}), row.at);
    append_numbers(broker, 4, 6);
    Reader reader = reader_of(connect(broker), Place::from_start(), Place::from_end());
    CHECK(read(reader, 2) == numbers(0, 2));
    const auto damaged = reader.next(test::patience);
    REQUIRE_FALSE(damaged.has_value());
    CHECK(damaged.error().name == "corrupt");
    CHECK(damaged.error().range_begin == 2);
    CHECK(damaged.error().range_end == 4);
    CHECK(read(reader) == numbers(4, 6));
  }
}

TEST_CASE("PR-12: a batch above the reader's limit is reported and passed over") {
  FakeBroker broker;
  append_numbers(broker, 0, 1);
  broker.append(0, test::make_batch_of_bytes(64 * 1024));
  append_numbers(broker, 2, 3);
  ReaderOptions options;
  options.batch_bytes_max = 16 * 1024;
  Reader reader = reader_of(connect(broker), Place::from_start(), Place::from_end(), options);
  CHECK(read(reader, 1) == numbers(0, 1));
  const auto large = reader.next(test::patience);
  REQUIRE_FALSE(large.has_value());
  CHECK(large.error().name == "too_large");
  CHECK(large.error().range_begin == 1);
  CHECK(large.error().range_end == 2);
  CHECK(read(reader) == numbers(2, 3));
}

TEST_CASE("an offset outside of [start, end] is refused at open, with both of them") {
  FakeBroker broker({"orders", 2});
  append_numbers(broker, 0, 10);
  broker.trim(0, 6);
  Client client = connect(broker);
  struct Row {
    Place begin;
    std::optional<Place> end;
    const char* words;
  };
  for (const Row& row :
       {Row{Place::at(2), {}, "offset 2 of orders/0 is below its start"},
        Row{Place::at(11), {}, "offset 11 of orders/0 is beyond its end"},
        Row{Place::at(11), Place::from_end(), "offset 11 of orders/0"},
        Row{Place::from_start(), Place::at(11), "the range's end 11 of orders/0 is beyond its end"},
        Row{Place::from_start(), Place::at(5),
            "the range's end 5 of orders/0 is below its start"}}) {
    INFO(row.begin.to_string() << " to " << (row.end ? row.end->to_string() : ""));
    const auto refused = Reader::open(client, "orders", {{0, row.begin, row.end}});
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().name == "offset_out_of_range");
    CHECK(refused.error().origin == Origin::client);
    CHECK(refused.error().range_begin == 6);
    CHECK(refused.error().range_end == 10);
    CHECK(refused.error().text.find(row.words) != std::string::npos);
    CHECK(refused.error().text.find("allowed is 6 to 10, or say start or end") !=
          std::string::npos);
  }
  // Of all partitions the one that does not have it is named.
  const auto refused = Reader::open(client, "orders", Place::at(6), {});
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().text.find("offset 6 of orders/1 is beyond its end; allowed is 0 to 0") !=
        std::string::npos);
}

TEST_CASE("the start, the end, and places that are not numbers are always inside") {
  FakeBroker broker;
  append_numbers(broker, 0, 10);
  broker.trim(0, 6);
  Client client = connect(broker);
  Reader from_start = reader_of(client, Place::at(6), Place::at(10));
  CHECK(read(from_start) == numbers(6, 10));
  Reader from_end = reader_of(client, Place::at(10), Place::from_end());
  CHECK(from_end.finished());
  Reader nothing = reader_of(client, Place::at(6), Place::at(6));
  CHECK(nothing.finished());
  Reader far_before = reader_of(client, Place{Place::Kind::before_end, 100}, Place::from_end());
  CHECK(read(far_before) == numbers(6, 10));
  Reader following = reader_of(client, Place::at(10));
  append_numbers(broker, 10, 12);
  CHECK(read(following, 2) == numbers(10, 12));
}

TEST_CASE(
    "events that retention removed from under a reader are reported with the new start and reading "
    "goes on there") {
  FakeBroker broker;
  append_numbers(broker, 0, 2);
  Reader reader = reader_of(connect(broker), Place::at(0));
  CHECK(read(reader, 2) == numbers(0, 2));
  broker.stop();
  append_numbers(broker, 2, 10);
  broker.trim(0, 6);
  broker.start();
  const auto removed = reader.next(test::patience);
  REQUIRE_FALSE(removed.has_value());
  CHECK(removed.error().name == "offset_out_of_range");
  CHECK(removed.error().range_begin == 6);
  CHECK(read(reader, 4) == numbers(6, 10));
}

TEST_CASE("no broker for longer than the timeout is said, and reading goes on when it is back") {
  FakeBroker broker;
  append_numbers(broker, 0, 1);
  // Short enough to wait for, long enough for a busy machine to have its answers in.
  Reader reader = reader_of(connect(broker, 2s), Place::from_start());
  CHECK(read(reader, 1) == numbers(0, 1));
  broker.stop();
  const auto away = reader.next(test::patience);
  REQUIRE_FALSE(away.has_value());
  CHECK(away.error().name == "timed_out");
  append_numbers(broker, 1, 2);
  broker.start();
  for (;;) {
    const auto batch = reader.next(test::patience);
    if (!batch) continue;  // said once more while the broker was starting
    REQUIRE(batch->events.size() == 1);
    CHECK(batch->events[0].payload == "1");
    break;
  }
}

TEST_CASE("a busy broker is asked again") {
  FakeBroker broker;
  append_numbers(broker, 0, 3);
  broker.set_script([seen = 0](const FakeRequest& request) mutable {
    if (request.kind == Kind::subscribe && seen++ < 2)
      return FakeAnswer{FakeAnswer::Kind::refuse, Error(Errc::overloaded, "busy")};
    return FakeAnswer{};
  });
  Reader reader = reader_of(connect(broker), Place::from_start(), Place::from_end());
  CHECK(read(reader) == numbers(0, 3));
}

TEST_CASE("several partitions are read side by side, each in its order") {
  FakeBroker broker({"orders", 3});
  for (int i = 0; i < 30; ++i)
    broker.append(static_cast<std::uint32_t>(i % 3), make_batch(std::to_string(i)));
  Reader reader = reader_of(connect(broker), Place::from_start(), Place::from_end());
  int next[3] = {0, 1, 2};
  std::size_t seen = 0;
  while (!reader.finished()) {
    const auto batch = reader.next(test::patience);
    REQUIRE(batch.has_value());
    for (const EventView& event : batch->events) {
      CHECK(event.payload == std::to_string(next[event.partition]));
      next[event.partition] += 3;
      ++seen;
    }
  }
  CHECK(seen == 30);
}

TEST_CASE("partitions that are not there or named twice are refused") {
  FakeBroker broker({"orders", 2});
  Client client = connect(broker);
  CHECK(Reader::open(client, "orders", {{2, Place::from_start(), {}}}).error().name ==
        "unknown_partition");
  CHECK(Reader::open(client, "orders", {{1, Place::from_start(), {}}, {1, Place::from_start(), {}}})
            .error()
            .name == "bad_config");
  CHECK(Reader::open(client, "orders", std::vector<ReadFrom>{}).error().name == "bad_config");
}
