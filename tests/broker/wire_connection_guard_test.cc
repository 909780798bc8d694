// Connections beyond what the process may have open (fault row PR-19).
#include "broker/wire/connection_guard.h"
#include "tests/support/zmq_context.h"

#include <arpa/inet.h>
#include <catch2/catch.hpp>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <climits>

namespace millrace {
namespace {

using SteadyClock = std::chrono::steady_clock;

class Caller {
 public:
  explicit Caller(const std::string& endpoint) : descriptor_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port =
        htons(static_cast<std::uint16_t>(std::stoi(endpoint.substr(endpoint.rfind(':') + 1))));
    REQUIRE(connect(descriptor_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  }
  Caller(const Caller&) = delete;
  Caller& operator=(const Caller&) = delete;
  ~Caller() { close(descriptor_); }

  // Reads what there is within `patience`; true: the other side has closed.
  bool is_closed(std::chrono::milliseconds patience) {
    pollfd entry{descriptor_, POLLIN, 0};
    if (poll(&entry, 1, static_cast<int>(patience.count())) <= 0) return false;
    char bytes[256];
    return recv(descriptor_, bytes, sizeof bytes, 0) <= 0;
  }

 private:
  int descriptor_;
};

struct Scene {
  explicit Scene(int threshold) : socket(*ZmqSocket::open(context.raw(), ZMQ_ROUTER)) {
    auto opened = ConnectionGuard::open(context.raw(), socket, threshold, metrics);
    REQUIRE(opened);
    guard = std::move(*opened);
    auto bound = socket.bind("tcp://127.0.0.1:0");
    REQUIRE(bound);
    endpoint = *bound;
  }
  // Handles connections until `done` or for ten seconds.
  template <class Done>
  bool run_until(Done done) {
    const auto last = SteadyClock::now() + std::chrono::seconds(10);
    while (!done()) {
      if (SteadyClock::now() > last) return false;
      while (guard->receive_one()) ++connections;
    }
    return true;
  }
  const test::ZmqContext context;
  ShardMetrics metrics;
  ZmqSocket socket;
  std::unique_ptr<ConnectionGuard> guard;
  std::string endpoint;
  int connections = 0;
};

}  // namespace

TEST_CASE("PR-19 a part of the descriptors is kept for files") {
  CHECK(descriptor_threshold(1'048'576) == 1'048'576 - 1'024);
  CHECK(descriptor_threshold(1'024) == 1'024 - 128);
  CHECK(descriptor_threshold(64) == 48);
  CHECK(descriptor_threshold(16) == 0);
  CHECK(descriptor_threshold(1) == 0);
  CHECK(descriptor_threshold(UINT64_MAX) == INT_MAX);
}

TEST_CASE("PR-19 a connection whose descriptor lies in the reserve is closed at once") {
  Scene scene(0);
  Caller first(scene.endpoint), second(scene.endpoint);
  CHECK(scene.run_until([&] { return scene.metrics.connections_refused.get() == 2; }));
  // A greeting may have been sent before.
  const std::chrono::seconds patience(10);
  CHECK((first.is_closed(patience) || first.is_closed(patience)));
  CHECK((second.is_closed(patience) || second.is_closed(patience)));
}

TEST_CASE("PR-19 other connections are let be") {
  Scene scene(INT_MAX);
  Caller caller(scene.endpoint);
  CHECK(scene.run_until([&] { return scene.connections == 1; }));
  CHECK(scene.metrics.connections_refused.get() == 0);
  CHECK_FALSE(caller.is_closed(std::chrono::seconds(10)));  // what comes is a greeting
}

TEST_CASE("brokers that follow each other in one context each get their guard") {
  const test::ZmqContext context;
  ShardMetrics metrics;
  for (int i = 0; i < 200; ++i) {
    // At one address in memory, as it often is in a test.
    auto socket = ZmqSocket::open(context.raw(), ZMQ_ROUTER);
    REQUIRE(socket);
    auto guard = ConnectionGuard::open(context.raw(), *socket, INT_MAX, metrics);
    INFO((guard ? std::string() : guard.error().text));
    REQUIRE(guard);
  }
}

TEST_CASE("a guard that nobody looks after does not stop connections, nor its own end") {
  Scene scene(INT_MAX);
  for (int i = 0; i < 2'000; ++i) {
    Caller caller(scene.endpoint);
    CHECK_FALSE(caller.is_closed(std::chrono::seconds(10)));
  }
}

}  // namespace millrace
