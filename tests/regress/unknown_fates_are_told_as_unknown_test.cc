// A batch that the broker's disk failed under may be there after the restart, and so may one whose
// first copy was never answered and whose second was refused. The producer called both surely not
// stored, and what was sent behind the first, too. Found by pulling the plug below a real file
// system.
#include "client/src/connection.h"
#include "millrace/producer.h"
#include "tests/support/fake_broker.h"

#include <catch2/catch.hpp>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;
using test::FakeAnswer;
using test::FakeBroker;
using test::FakeRequest;

namespace {

Client connect(const FakeBroker& broker, std::chrono::milliseconds timeout = 20s) {
  ClientOptions options;
  options.endpoint = broker.endpoint();
  options.timeout = timeout;
  options.reconnect_min = 5ms;
  options.reconnect_max = 50ms;
  auto client = Client::connect(options);
  REQUIRE(client.has_value());
  return *client;
}

Producer producer_of(const Client& client) {
  ProducerOptions producer_options;
  producer_options.batch_bytes = 1024;
  auto producer = Producer::open(client, "orders", producer_options);
  REQUIRE(producer.has_value());
  return std::move(*producer);
}

Delivery send(Producer& producer, const std::string& payload) {
  Event event;
  event.payload = payload;
  auto delivery = producer.send(event);
  REQUIRE(delivery.has_value());
  return *delivery;
}

std::string error_of(const Delivery& delivery) {
  const auto receipt = delivery.wait();
  return receipt ? "acked" : receipt.error().name;
}

FakeAnswer refuse(Errc code) { return {FakeAnswer::Kind::refuse, Error(code, "by the script")}; }

}  // namespace

TEST_CASE("G5 what was sent behind a batch that the disk failed under is unknown, too") {
  FakeBroker broker;
  std::atomic<bool> held{true};
  broker.set_script([&, seen = 0](const FakeRequest& request) mutable {
    if (request.kind != FakeRequest::Kind::produce) return FakeAnswer{};
    // The first waits for the others to be on their way behind it.
    if (seen++ == 0)
      while (held) std::this_thread::yield();
    return refuse(Errc::storage_error);
  });
  Producer producer = producer_of(connect(broker));
  const std::string large(900, 'x');
  std::vector<Delivery> deliveries;
  for (int i = 0; i < 4; ++i) deliveries.push_back(send(producer, large));
  held = false;
  CHECK(error_of(deliveries[0]) == "storage_error");
  for (std::size_t i = 1; i < deliveries.size(); ++i) {
    // "cancelled" would mean: surely not stored.
    const std::string error = error_of(deliveries[i]);
    CHECK((error == "timed_out" || error == "storage_error"));
  }
}

TEST_CASE("G5 a refusal of a second copy does not make the first, unanswered one not stored") {
  for (const Errc code : {Errc::read_only, Errc::bad_batch, Errc::fenced, Errc::unknown_topic}) {
    FakeBroker broker;
    broker.set_script([code, seen = 0](const FakeRequest& request) mutable {
      if (request.kind != FakeRequest::Kind::produce) return FakeAnswer{};
      return seen++ == 0 ? FakeAnswer{FakeAnswer::Kind::lose_reply, {}} : refuse(code);
    });
    Producer producer = producer_of(connect(broker));
    const Delivery delivery = send(producer, "a");
    while (broker.count(FakeRequest::Kind::produce) < 1) std::this_thread::yield();
    while (broker.payloads(0).empty()) std::this_thread::yield();
    broker.restart();
    const auto receipt = delivery.wait();
    REQUIRE_FALSE(receipt.has_value());
    INFO(receipt.error().to_string());
    CHECK(receipt.error().name == "timed_out");
    CHECK(receipt.error().text.find(errc_name(code)) != std::string::npos);
  }
}

TEST_CASE(
    "G5 what was sent behind a batch whose time is over is unknown, however late that is seen") {
  FakeBroker broker;
  std::atomic<bool> held{true};
  // The first two are stored, and their answers are lost; the third is refused for the moment. The
  // fourth makes the third full, so that it leaves.
  broker.set_script([&, seen = 0](const FakeRequest& request) mutable {
    if (request.kind != FakeRequest::Kind::produce) return FakeAnswer{};
    if (seen++ == 0)
      while (held) std::this_thread::yield();
    return seen <= 2 ? FakeAnswer{FakeAnswer::Kind::lose_reply, {}} : refuse(Errc::overloaded);
  });
  const auto timeout = 400ms;
  const Client client = connect(broker, timeout);
  Producer producer = producer_of(client);
  const std::string large(900, 'x');
  std::vector<Delivery> deliveries;
  for (const char* name : {"a", "b", "c", "d"}) deliveries.push_back(send(producer, name + large));
  held = false;
  while (broker.count(FakeRequest::Kind::produce) < 3) std::this_thread::yield();
  // The refusal makes the producer pause for 5 to 10 ms. Its thread wakes up from that when the
  // time of the first is over, too.
  std::this_thread::sleep_for(2ms);
  client.connection()->post([timeout] { std::this_thread::sleep_for(timeout); });
  CHECK(error_of(deliveries[0]) == "timed_out");
  CHECK(error_of(deliveries[1]) == "timed_out");
  CHECK(broker.payloads(0).size() == 2);
}
