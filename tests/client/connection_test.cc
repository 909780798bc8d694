#include "client/src/connection.h"

#include "client/src/live_endpoint.h"
#include "millrace/admin.h"
#include "tests/client/client_verbs.h"

#include <arpa/inet.h>
#include <catch2/catch.hpp>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <future>
#include <optional>
#include <thread>

using namespace millrace;
using namespace std::chrono_literals;
using test::connect;
using test::FakeAnswer;
using test::FakeBroker;
using test::FakeRequest;

namespace {

// A port of this test alone, at which nobody listens.
class SilentPort {
 public:
  SilentPort() : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    REQUIRE(bind(socket_, generic, size) == 0);
    REQUIRE(getsockname(socket_, generic, &size) == 0);
    endpoint_ = "tcp://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  }
  SilentPort(const SilentPort&) = delete;
  SilentPort& operator=(const SilentPort&) = delete;
  ~SilentPort() { close(socket_); }
  const std::string& endpoint() const { return endpoint_; }

 private:
  int socket_;
  std::string endpoint_;
};

// With a timeout so short that a test can wait for it. Comes back when the connection stands, so
// that what is asked from now on is sent.
Client connect_impatient(const FakeBroker& broker) {
  Client client = connect(broker.endpoint(), 200ms);
  REQUIRE(test::eventually([&] { return client.ping().has_value(); }));
  return client;
}

}  // namespace

TEST_CASE("endpoints and options that cannot be are refused at once") {
  for (const char* endpoint :
       {"", "localhost:7711", "tcp://", "tcp://127.0.0.1", "tcp://127.0.0.1:99999", "http://x:1",
        "inproc://no-context", "udp://127.0.0.1:1", "tcp://no such host:1",
        "tcp://127.0.0.1:1,tcp://127.0.0.1:2"}) {
    INFO(endpoint);
    ClientOptions options;
    options.endpoint = endpoint;
    const auto client = Client::connect(options);
    REQUIRE_FALSE(client.has_value());
    CHECK(client.error().name == "bad_config");
    CHECK(client.error().origin == Origin::client);
  }
  ClientOptions options;
  options.timeout = 0ms;
  CHECK(Client::connect(options).error().name == "bad_config");
}

TEST_CASE("a ping is answered with what the broker is") {
  FakeBroker broker;
  const auto info = connect(broker.endpoint()).ping();
  REQUIRE(info.has_value());
  CHECK(info->version == "fake");
  CHECK(info->live_endpoint == broker.live_endpoint());
}

TEST_CASE("nobody at the endpoint: a request fails as not sent after the timeout") {
  const SilentPort port;
  Client client = connect(port.endpoint(), 200ms);
  const auto info = client.ping();
  REQUIRE_FALSE(info.has_value());
  CHECK(info.error().name == "disconnected");
  CHECK(info.error().can_retry);
}

TEST_CASE("nobody at the endpoint: the user is told while the requests go on waiting") {
  const SilentPort port;
  std::promise<void> told;
  ClientOptions options;
  options.endpoint = port.endpoint();
  options.timeout = 60s;
  options.unreachable_after = 1ms;
  options.on_unreachable = [&] { told.set_value(); };
  const auto client = Client::connect(options);
  REQUIRE(client.has_value());
  CHECK(told.get_future().wait_for(30s) == std::future_status::ready);
}

TEST_CASE("a broker that goes away: the user is told once each time") {
  std::atomic<int> told{0};
  std::optional<FakeBroker> broker(std::in_place);
  ClientOptions options;
  options.endpoint = broker->endpoint();
  options.timeout = 60s;
  options.unreachable_after = 1ms;
  options.on_unreachable = [&] {
    ++told;
    told.notify_all();
  };
  auto client = Client::connect(options);
  REQUIRE(client.has_value());
  REQUIRE(client->ping().has_value());
  const int before = told;  // connecting may have taken longer
  broker.reset();
  told.wait(before);
  CHECK(told == before + 1);
}

TEST_CASE("a request without an answer fails as unknown after the timeout") {
  FakeBroker broker;
  Client client = connect_impatient(broker);
  broker.set_script([](const FakeRequest&) { return FakeAnswer{FakeAnswer::Kind::ignore, {}}; });
  const auto info = client.ping();
  REQUIRE_FALSE(info.has_value());
  CHECK(info.error().name == "timed_out");
}

TEST_CASE("a reply that does not verify is dropped and counted, and the request goes on waiting") {
  FakeBroker broker;
  Client client = connect_impatient(broker);
  const std::uint64_t before = client.connection()->replies_dropped();
  broker.set_script([](const FakeRequest&) { return FakeAnswer{FakeAnswer::Kind::garbage, {}}; });
  const auto info = client.ping();
  REQUIRE_FALSE(info.has_value());
  CHECK(info.error().name == "timed_out");
  // It may come later than the request waited.
  CHECK(test::eventually([&] { return client.connection()->replies_dropped() == before + 1; }));
}

TEST_CASE("a client finds a broker that starts after it") {
  FakeBroker broker;
  broker.stop();
  Client client = connect(broker.endpoint());
  std::thread late([&] { broker.start(); });
  CHECK(client.ping().has_value());
  late.join();
}

TEST_CASE("a read in flight when the connection breaks is asked again") {
  FakeBroker broker;
  broker.set_script([seen = 0](const FakeRequest&) mutable {
    return FakeAnswer{seen++ == 0 ? FakeAnswer::Kind::ignore : FakeAnswer::Kind::normal, {}};
  });
  Client client = connect(broker.endpoint());
  std::thread breaker([&] {
    while (broker.requests().empty()) std::this_thread::yield();
    broker.restart();
  });
  CHECK(client.ping().has_value());
  breaker.join();
  CHECK(broker.requests().size() == 2);
}

TEST_CASE("a create in flight when the connection breaks is not asked again") {
  FakeBroker broker;
  broker.set_script([](const FakeRequest&) { return FakeAnswer{FakeAnswer::Kind::ignore, {}}; });
  Client client = connect(broker.endpoint());
  std::thread breaker([&] {
    while (broker.requests().empty()) std::this_thread::yield();
    broker.restart();
  });
  const auto created = Admin(client).create_topic("orders");
  breaker.join();
  REQUIRE_FALSE(created.has_value());
  CHECK(created.error().name == "timed_out");
  CHECK(broker.requests().size() == 1);
}

TEST_CASE("a busy broker is asked again after a pause") {
  FakeBroker broker;
  broker.set_script([seen = 0](const FakeRequest&) mutable {
    if (seen++ < 3) return FakeAnswer{FakeAnswer::Kind::refuse, Error(Errc::overloaded, "busy")};
    return FakeAnswer{};
  });
  CHECK(connect(broker.endpoint()).ping().has_value());
  CHECK(broker.requests().size() == 4);
}

TEST_CASE("a broker's error keeps its number, name, text and range") {
  FakeBroker broker;
  broker.set_script([](const FakeRequest&) {
    Error error(Errc::offset_out_of_range, "offset 5 was removed");
    error.range_begin = 10;
    error.range_end = 20;
    return FakeAnswer{FakeAnswer::Kind::refuse, error};
  });
  const auto info = connect(broker.endpoint()).ping();
  REQUIRE_FALSE(info.has_value());
  CHECK(info.error().code == 25);
  CHECK(info.error().origin == Origin::broker);
  CHECK(info.error().range_begin == 10);
  CHECK(info.error().range_end == 20);
  CHECK(info.error().to_string() == "offset_out_of_range (broker): offset 5 was removed");
}

TEST_CASE("the live feed is at the host that was dialled when the broker bound all addresses") {
  using detail::reachable_live_endpoint;
  CHECK(reachable_live_endpoint("tcp://0.0.0.0:7712", "tcp://db1:7711") == "tcp://db1:7712");
  CHECK(reachable_live_endpoint("tcp://127.0.0.1:1,ipc:///tmp/live", "tcp://127.0.0.1:7711") ==
        "tcp://127.0.0.1:1");
  CHECK(reachable_live_endpoint("tcp://*:7712", "tcp://[::1]:7711") == "tcp://[::1]:7712");
  CHECK(reachable_live_endpoint("tcp://[::]:7712", "tcp://10.0.0.1:7711") == "tcp://10.0.0.1:7712");
  CHECK(reachable_live_endpoint("tcp://127.0.0.1:7712", "tcp://127.0.0.1:7711") ==
        "tcp://127.0.0.1:7712");
  CHECK(reachable_live_endpoint("inproc://live", "inproc://requests") == "inproc://live");
}
