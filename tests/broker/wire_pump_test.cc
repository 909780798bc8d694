// The descriptor of a ZeroMQ socket and the reactor: no message may wait while the loop sleeps
// (fault row Z-10).
#include "broker/wire/zmq_pump.h"
#include "storage/base/random.h"
#include "storage/io/poll_reactor.h"
#include "storage/io/ring.h"
#include "storage/io/system_clock.h"
#include "tests/support/zmq_context.h"

#include <catch2/catch.hpp>

#include <thread>

namespace millrace {
namespace {

constexpr int messages = 60'000;
// A message that was missed lets the loop sleep to the end of this, longer than a test may run.
constexpr Duration sleep_max = seconds(24 * 3600);

// Answers every message to where it came from, as a broker does: sends eat edges.
class Echo : public PumpTarget {
 public:
  explicit Echo(ZmqSocket& socket) : socket_(socket) {}
  bool receive_one() override {
    zmq::message_t address, body;
    if (socket_.receive(address) != ZmqSocket::Io::done) return false;
    REQUIRE(socket_.receive(body) == ZmqSocket::Io::done);
    REQUIRE(socket_.send(address, ZMQ_SNDMORE) == ZmqSocket::Io::done);
    REQUIRE(socket_.send(body, 0) == ZmqSocket::Io::done);
    ++count;
    return true;
  }
  int count = 0;

 private:
  ZmqSocket& socket_;
};

// Sends in bursts with pauses between them and waits for each burst's answers.
void send_bursts(void* context, const std::string& endpoint) {
  void* socket = zmq_socket(context, ZMQ_DEALER);
  const int linger = 0;
  zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
  zmq_connect(socket, endpoint.c_str());
  Random random(7);
  for (int sent = 0; sent < messages;) {
    const int burst = std::min(messages - sent, static_cast<int>(1 + random.below(300)));
    for (int i = 0; i < burst; ++i) zmq_send(socket, "x", 1, 0);
    sent += burst;
    for (int i = 0; i < burst; ++i) zmq_recv(socket, nullptr, 0, 0);
    if (random.chance(1, 4)) std::this_thread::yield();
  }
  zmq_close(socket);
}

// Runs the loop without the safety deadline: a missed message makes it sleep for ever.
void run_echo(Reactor& reactor, const std::string& endpoint) {
  const test::ZmqContext context;
  SystemClock clock;
  auto socket = ZmqSocket::open(context.raw(), ZMQ_ROUTER);
  REQUIRE(socket);
  const auto bound = socket->bind(endpoint);
  REQUIRE(bound);
  Echo echo(*socket);
  {
    ZmqPump pump(reactor, *socket, echo);
    REQUIRE(pump.start());
    std::thread peer([&] { send_bursts(context.raw(), *bound); });
    while (echo.count < messages) {
      pump.drain(16);
      const bool stay = pump.must_not_sleep();
      const Instant before = clock.now();
      reactor.wait_until(stay ? before : before + sleep_max);
    }
    peer.join();
  }
  CHECK(echo.count == messages);
}

TEST_CASE("no message is left behind while poll sleeps") {
  PollReactor reactor;
  SECTION("tcp") { run_echo(reactor, "tcp://127.0.0.1:0"); }
  SECTION("inproc") { run_echo(reactor, "inproc://echo"); }
}

TEST_CASE("no message is left behind while the ring sleeps") {
  auto ring = Ring::create();
  if (!ring) return;  // refused on this host; the poll reactor is what runs here
  SECTION("tcp") { run_echo(**ring, "tcp://127.0.0.1:0"); }
  SECTION("inproc") { run_echo(**ring, "inproc://echo"); }
}

}  // namespace
}  // namespace millrace
