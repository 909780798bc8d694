// What strangers send to each port, while a good client is served.
#include "tests/e2e/millraced_process.h"
#include "tests/e2e/tcp_stranger.h"
#include "tests/support/patience.h"
#include "tests/support/raw_client.h"
#include "tests/support/temp_dir.h"

#include <catch2/catch.hpp>

#include <fstream>

namespace millrace::test {
namespace {

using namespace std::string_literals;

struct Broker {
  Broker()
      : process(MillracedProcess::on(dir / "data")), ready(process.ready()), good(ready.listen) {
    REQUIRE(good.call({raw::create_topic(1, "orders", 1)}).error() == 0);
  }
  // Produces one event and reads it back.
  void check_service() {
    const RawReply reply = good.call({raw::produce(next_id++, {}), make_batch("payload")});
    INFO(reply.error_text());
    REQUIRE(reply.error() == 0);
    const std::uint64_t offset = reply.as<wire::Produced>()->base_offset();
    const RawReply fetched = good.call({raw::fetch(next_id++, {"orders", 0, offset})});
    REQUIRE(fetched.data.size() == 1);
    // A loop that had no processor for a while says so.
    REQUIRE(
        eventually([&] { return http_get(ready.http, "/health").starts_with("HTTP/1.1 200"); }));
  }
  std::uint64_t resident_kib() const {
    std::ifstream status("/proc/" + std::to_string(ready.pid) + "/status");
    for (std::string word; status >> word;) {
      if (word != "VmRSS:") continue;
      std::uint64_t kib = 0;
      status >> kib;
      return kib;
    }
    return 0;
  }

  TempDir dir;
  MillracedProcess process;
  ReadyLine ready;
  RawClient good;
  std::uint64_t next_id = 10;
};

TEST_CASE("PR-25 HTTP, TLS, telnet and old ZeroMQ greetings on each port harm nobody") {
  Broker broker;
  const std::vector<std::string> greetings = {
      "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
      "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"s + std::string(508, '\x42'),
      "hello?\r\nquit\r\n",
      std::string(100'000, '\0'),
      std::string(100'000, '\xff'),
      "\x01\x00"s,                                  // ZMTP 1.0, empty identity
      "\x01\x00\x05\x00hello"s,                     // ... and a message
      "\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f"s,  // ZMTP 2.0 signature
      "\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x01\x05\x00\x00"s,
      "\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03\x00NULL"s + std::string(16, '\0') + "\x01"s +
          std::string(31, '\0'),
      "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"s,
  };
  for (const std::string& port : {broker.ready.listen, broker.ready.live, broker.ready.http}) {
    for (const std::string& greeting : greetings) {
      TcpStranger stranger(port);
      stranger.send(greeting);
      static_cast<void>(stranger.receive(std::chrono::milliseconds(20)));
    }
    broker.check_service();
  }
}

TEST_CASE("PR-16 connections that say nothing are dropped, and others are served meanwhile") {
  Broker broker;
  std::vector<std::unique_ptr<TcpStranger>> silent;
  for (int i = 0; i < 50; ++i) silent.push_back(std::make_unique<TcpStranger>(broker.ready.listen));
  broker.check_service();
  // It greets, waits for our greeting, and gives up within its handshake interval; 1 byte does not
  // help.
  silent[0]->send("\xff");
  static_cast<void>(silent[0]->receive(patience));
  CHECK(silent[0]->is_closed());
  broker.check_service();
}

TEST_CASE("PR-06 a frame above the limit ends that connection and costs no memory") {
  Broker broker;
  broker.check_service();
  const std::uint64_t before = broker.resident_kib();
  // A ZMTP 3 greeting and READY, then a long frame header that announces 2^40 bytes.
  TcpStranger stranger(broker.ready.listen);
  stranger.send("\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03\x00NULL"s + std::string(16, '\0') +
                "\x00"s + std::string(31, '\0'));
  stranger.send("\x04\x1c\x05READY\x0bSocket-Type\x00\x00\x00\x06"s + "DEALER"s);
  stranger.send("\x02\x00\x00\x01\x00\x00\x00\x00\x00"s + std::string(100'000, 'x'));
  static_cast<void>(stranger.receive(patience));
  CHECK(stranger.is_closed());
  RawClient large(broker.ready.listen);
  large.send({raw::produce(1, {}), Bytes(66u << 20)});
  CHECK_FALSE(large.receive(std::chrono::milliseconds(1'000)));
  broker.check_service();
  CHECK(broker.resident_kib() < before + 200 * 1024);
}

TEST_CASE(
    "a batch above the topic's limit is refused with the limit, on a connection that lives on") {
  Broker broker;
  RawClient client(broker.ready.listen);
  const RawReply reply = client.call({raw::produce(1, {}), make_batch_of_bytes(2 << 20)});
  CHECK(reply.error() == 3);
  CHECK(client.call({raw::ping(2)}).error() == 0);
}

TEST_CASE("PR-08 wrong frame counts and empty frames are refused and the connection serves on") {
  Broker broker;
  RawClient client(broker.ready.listen);
  client.send({Bytes{}});
  client.send({Bytes{}, Bytes{}});
  client.send({Bytes{}, raw::ping(1)});
  client.send(std::vector<Bytes>(1'000, raw::ping(2)));
  client.send({raw::produce(3, {})});
  client.send({raw::produce(4, {}), make_batch("a"), make_batch("b")});
  client.send({raw::ping(5)});
  for (const auto& [id, error] :
       std::vector<std::pair<std::uint64_t, int>>{{2, 1}, {3, 1}, {4, 1}, {5, 0}}) {
    const auto reply = client.receive();
    REQUIRE(reply);
    CHECK(reply->id() == id);
    CHECK(reply->error() == error);
  }
  broker.check_service();
}

TEST_CASE("PR-09 a request of a newer version is answered with what is supported") {
  Broker broker;
  RawClient client(broker.ready.listen);
  const RawReply reply = client.call({raw::any(1, 9, 13)});
  CHECK(reply.error() == 2);
  CHECK(reply.error_text().find("speaks 1 to 1") != std::string::npos);
}

TEST_CASE("PR-14 a client that subscribes and never reads costs a bounded amount of memory") {
  Broker broker;
  RawClient producer(broker.ready.listen);
  RawClient deaf(broker.ready.listen, nullptr, 1);
  const Bytes batch = make_batch_of_bytes(1'000'000);
  const auto produce = [&](std::uint64_t first) {
    for (std::uint64_t i = 0; i < 150; ++i)
      REQUIRE(producer.call({raw::produce(first + i, {}), batch}).error() == 0);
  };
  produce(1);
  // A GiB is asked for, and all that comes.
  deaf.send({raw::subscribe(1, {"orders", 0, 0}, 1, UINT32_MAX)});
  for (std::uint64_t i = 0; i < 64; ++i)
    deaf.send({raw::fetch(2 + i, {"orders", 0, 0}, {1, 16u << 20, 0})});
  produce(151);
  broker.check_service();
  INFO(broker.resident_kib() / 1024 << " MiB");
  CHECK(broker.resident_kib() < 700 * 1024);
}

TEST_CASE("PR-21 what a subscriber sends up the live feed is discarded") {
  Broker broker;
  TcpStranger stranger(broker.ready.live);
  stranger.send("\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03\x00NULL"s + std::string(16, '\0') +
                "\x00"s + std::string(31, '\0'));
  stranger.send("\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x03SUB"s);
  for (int i = 0; i < 1'000; ++i) stranger.send("\x00\x05hello"s);
  broker.check_service();
}

}  // namespace
}  // namespace millrace::test
