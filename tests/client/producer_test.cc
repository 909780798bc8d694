#include "millrace/producer.h"

#include "millrace/admin.h"
#include "storage/base/crc32c.h"
#include "tests/client/client_verbs.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <atomic>
#include <thread>

using namespace millrace;
using namespace std::chrono_literals;
using test::connect;
using test::FakeAnswer;
using test::FakeBroker;
using test::FakeRequest;
using test::numbers;

namespace {

using Kind = FakeRequest::Kind;

Producer producer_of(const Client& client, ProducerOptions options = {}) {
  auto producer = Producer::open(client, "orders", options);
  REQUIRE(producer.has_value());
  return std::move(*producer);
}

Event payload(std::string_view text) {
  Event event;
  event.payload = text;
  return event;
}

Delivery send(Producer& producer, std::string_view text) {
  auto delivery = producer.send(payload(text));
  REQUIRE(delivery.has_value());
  return *delivery;
}

std::vector<FakeRequest> produces(const FakeBroker& broker) {
  std::vector<FakeRequest> out;
  for (const FakeRequest& request : broker.requests()) {
    if (request.kind == Kind::produce) out.push_back(request);
  }
  return out;
}

FakeAnswer refuse(Errc code) { return {FakeAnswer::Kind::refuse, Error(code, "by the script")}; }

// The first produce gets `first`, every later one is served.
FakeBroker::Script first_produce(FakeAnswer first) {
  return [first, seen = 0](const FakeRequest& request) mutable {
    return request.kind == Kind::produce && seen++ == 0 ? first : FakeAnswer{};
  };
}

}  // namespace

TEST_CASE("an event is acked with its offset and level") {
  FakeBroker broker;
  Producer producer = producer_of(connect(broker));
  const auto first = send(producer, "a").wait();
  const auto second = send(producer, "b").wait();
  REQUIRE((first.has_value() && second.has_value()));
  CHECK(first->offset == 0);
  CHECK(second->offset == 1);
  CHECK(second->ack == AckLevel::durable);
  CHECK(producer.flush().has_value());
  CHECK(producer.close().empty());
  CHECK(broker.payloads(0) == std::vector<std::string>{"a", "b"});
}

TEST_CASE("events that are sent while a batch is in flight leave together with the next") {
  std::atomic<bool> held{true};
  FakeBroker broker;
  broker.set_script([&](const FakeRequest& request) {
    while (request.kind == Kind::produce && held) std::this_thread::yield();
    return FakeAnswer{};
  });
  Producer producer = producer_of(connect(broker));
  for (const std::string& text : numbers(0, 1000)) send(producer, text);
  held = false;
  REQUIRE(producer.flush().has_value());
  CHECK(broker.payloads(0) == numbers(0, 1000));
  CHECK(produces(broker).size() <= 2);
  CHECK(producer.tally()[0].events == 1000);
  CHECK(producer.tally()[0].first_offset == 0);
  CHECK(producer.tally()[0].last_offset == 999);
}

TEST_CASE("a key chooses its partition by crc32c and keyless events go round batch by batch") {
  FakeBroker broker({"orders", 4});
  Producer producer = producer_of(connect(broker));
  CHECK(producer.partitions() == 4);
  for (const std::string& key : numbers(0, 40)) {
    Event event = payload(key);
    event.key = key;
    const auto receipt = producer.send(event)->wait();
    REQUIRE(receipt.has_value());
    CHECK(receipt->partition == crc32c(as_bytes(key)) % 4);
  }
  std::vector<std::uint32_t> turns;
  for (int i = 0; i < 8; ++i) turns.push_back(send(producer, "x").wait()->partition);
  std::sort(turns.begin(), turns.end());
  CHECK(turns == std::vector<std::uint32_t>{0, 0, 1, 1, 2, 2, 3, 3});
}

TEST_CASE(
    "a lost reply makes the same batch go again with the same sequence, and it is stored once") {
  FakeBroker broker;
  broker.set_script(first_produce({FakeAnswer::Kind::lose_reply, {}}));
  Producer producer = producer_of(connect(broker));
  const auto delivery = send(producer, "once");
  while (broker.count(Kind::produce) == 0) std::this_thread::yield();
  broker.restart();  // the break is what makes the client ask again
  const auto receipt = delivery.wait();
  REQUIRE(receipt.has_value());
  CHECK(receipt->offset == 0);
  CHECK(broker.payloads(0) == std::vector<std::string>{"once"});
  const auto sent = produces(broker);
  REQUIRE(sent.size() == 2);
  CHECK(sent[0].batch->sequence == sent[1].batch->sequence);
  CHECK(sent[0].batch->producer_id == sent[1].batch->producer_id);
  CHECK(body_checksum(*sent[0].batch) == body_checksum(*sent[1].batch));
}

TEST_CASE("events sent while the broker is away arrive after it is back, once and in order") {
  FakeBroker broker;
  Producer producer = producer_of(connect(broker));
  for (int round = 0; round < 5; ++round) {
    for (const std::string& text : numbers(0, 200)) send(producer, text);
    broker.restart();
  }
  REQUIRE(producer.flush().has_value());
  std::vector<std::string> expected;
  for (int round = 0; round < 5; ++round) {
    for (const std::string& text : numbers(0, 200)) expected.push_back(text);
  }
  CHECK(broker.payloads(0) == expected);
}

TEST_CASE("a refusal that passes makes all unacked batches go again in order") {
  for (const Errc code :
       {Errc::overloaded, Errc::storage_full, Errc::shutting_down, Errc::timed_out}) {
    INFO(errc_name(code));
    FakeBroker broker;
    // Refuses every third batch that comes; those behind it are out of order by themselves.
    broker.set_script([code, seen = 0](const FakeRequest& request) mutable {
      if (request.kind != Kind::produce) return FakeAnswer{};
      ++seen;
      return seen % 3 == 1 && seen < 20 ? refuse(code) : FakeAnswer{};
    });
    ProducerOptions options;
    options.batch_bytes = 1024;
    Producer producer = producer_of(connect(broker), options);
    for (const std::string& text : numbers(0, 500)) send(producer, text);
    REQUIRE(producer.flush().has_value());
    CHECK(broker.payloads(0) == numbers(0, 500));
  }
}

TEST_CASE(
    "no answer until the timeout fails the delivery as unknown, and later events go on behind a "
    "raised epoch") {
  FakeBroker broker;
  broker.set_script(first_produce({FakeAnswer::Kind::ignore, {}}));
  // Short enough to wait for, long enough for a busy machine to have its answers in.
  Producer producer = producer_of(connect(broker, 2s));
  const auto lost = send(producer, "lost").wait();
  REQUIRE_FALSE(lost.has_value());
  CHECK(lost.error().name == "timed_out");
  const auto next = send(producer, "next").wait();
  REQUIRE(next.has_value());
  const auto sent = produces(broker);
  REQUIRE(sent.size() == 2);
  CHECK(sent[1].batch->producer_epoch == sent[0].batch->producer_epoch + 1);
  CHECK(sent[1].batch->sequence == 0);
  CHECK(broker.payloads(0) == std::vector<std::string>{"next"});

  const auto flushed = producer.flush();
  REQUIRE_FALSE(flushed.has_value());
  CHECK(flushed.error().name == "timed_out");
  CHECK(producer.flush().has_value());  // said once
  const auto unacked = producer.close();
  REQUIRE(unacked.size() == 1);
  CHECK(unacked[0].event_count == 1);
}

TEST_CASE("without a broker events fail as not sent, and close names them") {
  FakeBroker broker;
  Client client = connect(broker, 2s);
  Producer producer = producer_of(client);
  REQUIRE(send(producer, "stored").wait().has_value());
  broker.stop();
  // The break must have been noticed: a request that is surely not sent tells.
  for (;;) {
    const auto pong = client.ping();
    REQUIRE_FALSE(pong.has_value());
    if (pong.error().name == "disconnected") break;
  }
  for (const std::string& text : numbers(0, 10)) send(producer, text);
  const auto unacked = producer.close();
  std::uint64_t events = 0, first = UINT64_MAX;
  for (const Unacked& row : unacked) {
    CHECK(row.error.name == "disconnected");
    CHECK(row.error.can_retry);
    events += row.event_count;
    first = std::min(first, row.first_event);
  }
  CHECK(events == 10);
  CHECK(first == 1);  // the one before was stored
  const auto after = producer.send(payload("late"));
  REQUIRE_FALSE(after.has_value());
  CHECK(after.error().name == "closed");
}

TEST_CASE(
    "a batch that is refused for good fails those sent behind it, and later ones are stored") {
  std::atomic<bool> held{true};
  FakeBroker broker;
  // The first produce waits for the others to be sent behind it.
  broker.set_script([&, seen = 0](const FakeRequest& request) mutable {
    if (request.kind != Kind::produce || seen++ != 0) return FakeAnswer{};
    while (held) std::this_thread::yield();
    return refuse(Errc::bad_batch);
  });
  ProducerOptions options;
  options.batch_bytes = 1024;
  Producer producer = producer_of(connect(broker), options);
  const std::string large(900, 'x');
  std::vector<Delivery> deliveries;
  for (int i = 0; i < 5; ++i) deliveries.push_back(send(producer, large));
  held = false;
  const auto refused = deliveries[0].wait();
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().name == "bad_batch");
  CHECK(refused.error().origin == Origin::broker);
  std::size_t stored = 0;
  for (std::size_t i = 1; i < deliveries.size(); ++i) {
    const auto behind = deliveries[i].wait();
    if (behind) ++stored;
    if (!behind) CHECK(behind.error().name == "cancelled");
  }
  REQUIRE(send(producer, "later").wait().has_value());
  // What was cancelled is not there.
  CHECK(broker.payloads(0).size() == stored + 1);
}

TEST_CASE("a session that the broker forgot starts over in the next epoch") {
  FakeBroker broker;
  Producer producer = producer_of(connect(broker));
  REQUIRE(send(producer, "a").wait().has_value());
  broker.forget_producers();
  const auto receipt = send(producer, "b").wait();
  REQUIRE(receipt.has_value());
  CHECK(receipt->offset == 1);
  const auto sent = produces(broker);
  CHECK(sent.back().batch->producer_epoch == 1);
  CHECK(sent.back().batch->sequence == 0);
  CHECK(broker.payloads(0) == std::vector<std::string>{"a", "b"});
}

TEST_CASE("a forgotten session whose batch may have been stored fails as unknown, never twice") {
  FakeBroker broker;
  Producer producer = producer_of(connect(broker));
  REQUIRE(send(producer, "a").wait().has_value());
  broker.set_script(first_produce({FakeAnswer::Kind::lose_reply, {}}));
  const auto delivery = send(producer, "b");
  while (broker.count(Kind::produce) < 2) std::this_thread::yield();
  broker.forget_producers();
  broker.restart();
  const auto receipt = delivery.wait();
  REQUIRE_FALSE(receipt.has_value());
  CHECK(receipt.error().name == "unknown_producer");
  CHECK(broker.payloads(0) == std::vector<std::string>{"a", "b"});
}

TEST_CASE("another producer with the same number fences this one for good") {
  FakeBroker broker;
  broker.set_script(first_produce(refuse(Errc::fenced)));
  Producer producer = producer_of(connect(broker));
  for (int i = 0; i < 2; ++i) {
    const auto receipt = send(producer, "x").wait();
    REQUIRE_FALSE(receipt.has_value());
    CHECK(receipt.error().name == "fenced");
  }
  CHECK(broker.count(Kind::produce) == 1);
}

TEST_CASE("an event above the topic's limit is refused by the client, naming limit and value") {
  FakeBroker broker({"orders", 1, 4096});
  Producer producer = producer_of(connect(broker));
  const auto delivery = producer.send(payload(std::string(5000, 'x')));
  REQUIRE_FALSE(delivery.has_value());
  CHECK(delivery.error().name == "too_large");
  CHECK(delivery.error().origin == Origin::client);
  const std::string& text = delivery.error().text;
  CAPTURE(text);
  CHECK(text.find("an event of 5000 B payload makes a batch of 5") == 0);
  CHECK(text.find("topic 'orders' allows 4096 B (batch_bytes_max)") != std::string::npos);
  CHECK(send(producer, std::string(3000, 'x')).wait().has_value());
  // The largest payload that is named fits, and one byte more does not.
  const std::string before = "a payload of up to ";
  const std::size_t largest = std::stoul(text.substr(text.find(before) + before.size()));
  CHECK(send(producer, std::string(largest, 'x')).wait().has_value());
  CHECK_FALSE(producer.send(payload(std::string(largest + 1, 'x'))).has_value());
  Event event = payload("x");
  const std::string key(5000, 'k');
  event.key = key;
  CHECK(producer.send(event).error().text.find("its key and headers alone") != std::string::npos);
}

TEST_CASE("wrong partitions, headers and options are refused with their own errors") {
  FakeBroker broker;
  Client client = connect(broker);
  Producer producer = producer_of(client);
  CHECK(producer.send(1, payload("x")).error().name == "unknown_partition");
  const HeaderField nameless{"", "v"};
  Event event = payload("x");
  event.headers = {&nameless, 1};
  CHECK(producer.send(event).error().name == "bad_usage");
  ProducerOptions options;
  options.in_flight_max = 33;
  CHECK(Producer::open(client, "orders", options).error().name == "bad_config");
}

TEST_CASE("a full buffer makes send wait until the broker has acked something") {
  FakeBroker broker;
  std::atomic<bool> asked = false, may_answer = false;
  broker.set_script([&](const FakeRequest& request) {
    if (request.kind == Kind::produce) {
      asked = true;
      asked.notify_all();
      may_answer.wait(false);
    }
    return FakeAnswer{};
  });
  ProducerOptions options;
  options.batch_bytes = 1024;
  options.buffer_bytes_max = 4096;
  Producer producer = producer_of(connect(broker), options);
  bool had_answered = false;
  std::thread sender([&] {
    for (int i = 0; i < 10; ++i) static_cast<void>(producer.send(payload(std::string(900, 'x'))));
    had_answered = may_answer;
  });
  asked.wait(false);
  may_answer = true;
  may_answer.notify_all();
  sender.join();
  CHECK(had_answered);
  CHECK(producer.flush().has_value());
  CHECK(broker.payloads(0).size() == 10);
}

TEST_CASE("many events for one price arrive like single ones") {
  FakeBroker broker;
  Producer producer = producer_of(connect(broker));
  const auto texts = numbers(0, 5000);
  std::vector<Event> events;
  for (const std::string& text : texts) events.push_back(payload(text));
  const SentMany sent = producer.send_many(events);
  CHECK(sent.accepted == 5000);
  CHECK_FALSE(sent.error);
  REQUIRE(producer.flush().has_value());
  CHECK(broker.payloads(0) == texts);
}

TEST_CASE("without acks events count as sent and have no offset") {
  FakeBroker broker;
  ProducerOptions options;
  options.ack = AckLevel::none;
  Producer producer = producer_of(connect(broker), options);
  const auto receipt = send(producer, "gone").wait();
  REQUIRE(receipt.has_value());
  CHECK_FALSE(receipt->offset.has_value());
  CHECK(receipt->ack == AckLevel::none);
  CHECK(producer.close().empty());
  while (broker.count(Kind::produce) == 0) std::this_thread::yield();
  CHECK(produces(broker)[0].batch->producer_id == 0);
}

TEST_CASE("several threads share one producer and each one's order is kept") {
  FakeBroker broker;
  Producer producer = producer_of(connect(broker));
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 500; ++i)
        (void)producer.send(payload(std::to_string(t) + " " + std::to_string(i)));
    });
  }
  for (std::thread& thread : threads) thread.join();
  REQUIRE(producer.flush().has_value());
  int next[4] = {};
  for (const std::string& text : broker.payloads(0)) {
    const int t = text[0] - '0';
    CHECK(std::stoi(text.substr(2)) == next[t]++);
  }
  for (const int count : next) CHECK(count == 500);
}
