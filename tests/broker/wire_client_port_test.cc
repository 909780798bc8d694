// The ROUTER by itself: what reaches the shard, what leaves, and when a client is given up.
#include "broker/wire/zmq_client_port.h"
#include "tests/sim/sim_clock.h"
#include "tests/support/patience.h"
#include "tests/support/raw_client.h"
#include "tests/support/zmq_context.h"

#include <catch2/catch.hpp>

#include <cstring>

namespace millrace {
namespace {

using test::Bytes;
using test::RawClient;
namespace raw = test::raw;

// Stands where the shard stands and notes what it is told.
class Recorder : public RequestTarget {
 public:
  void handle(ClientHandle client, Request&& request) override {
    clients.push_back(client);
    ids.push_back(request.id);
  }
  void refuse(ClientHandle client, std::uint64_t request_id, Error error) override {
    clients.push_back(client);
    refused.push_back({request_id, error.code});
  }
  void client_gone(ClientHandle client) override { gone.push_back(client); }

  std::vector<ClientHandle> clients, gone;
  std::vector<std::uint64_t> ids;
  std::vector<std::pair<std::uint64_t, Errc>> refused;
};

struct Fixture {
  explicit Fixture(const std::string& endpoint, ClientPortOptions options = {}) {
    auto opened = ZmqClientPort::open(context.raw(), options, clock, metrics);
    REQUIRE(opened);
    port = std::move(*opened);
    const auto bound = port->bind(endpoint);
    REQUIRE(bound);
    address = *bound;
    port->set_target(&recorder);
  }
  // Takes in messages until the recorder has seen `count` requests and refusals.
  void receive(std::size_t count) {
    const auto last = std::chrono::steady_clock::now() + test::patience;
    while (recorder.clients.size() < count) {
      zmq_pollitem_t item{nullptr, port->socket().descriptor(), ZMQ_POLLIN, 0};
      if ((port->socket().events() & ZMQ_POLLIN) == 0) zmq_poll(&item, 1, 10);
      while (port->receive_one()) {
      }
      REQUIRE(std::chrono::steady_clock::now() < last);
    }
  }
  void receive_until_dropped(std::uint64_t count) {
    const auto& dropped = metrics.rejected[static_cast<std::size_t>(Errc::bad_request)];
    const auto last = std::chrono::steady_clock::now() + test::patience;
    while (dropped.get() < count) {
      port->receive_one();
      REQUIRE(std::chrono::steady_clock::now() < last);
    }
  }

  test::ZmqContext context;
  sim::SimClock clock;
  ShardMetrics metrics;
  Recorder recorder;
  std::unique_ptr<ZmqClientPort> port;
  std::string address;
};

TEST_CASE("requests of two clients come from two handles, replies go to the right one") {
  Fixture f("tcp://127.0.0.1:0");
  RawClient one(f.address), two(f.address);
  one.send({raw::ping(1)});
  f.receive(1);
  two.send({raw::ping(2)});
  f.receive(2);
  CHECK(f.recorder.ids == std::vector<std::uint64_t>{1, 2});
  REQUIRE(f.recorder.clients[0] != f.recorder.clients[1]);
  Reply to_one{11, DoneReply{}}, to_two{22, DoneReply{}};
  CHECK(f.port->send(f.recorder.clients[1], to_two) == SendResult::sent);
  CHECK(f.port->send(f.recorder.clients[0], to_one) == SendResult::sent);
  CHECK(one.receive()->id() == 11);
  CHECK(two.receive()->id() == 22);
}

TEST_CASE("a reply's data goes out in its frames and is taken from the reply") {
  Fixture f("inproc://port");
  RawClient client(f.address, f.context.raw());
  client.send({raw::ping(1)});
  f.receive(1);
  SlabPool pool(0);
  Reply reply{1, FetchedReply{}};
  for (const std::size_t bytes : {std::size_t{100}, std::size_t{64 * KiB}}) {
    Buffer whole = pool.take(bytes);
    std::memset(whole.slab()->data(), 0x5a, bytes);
    std::get<FetchedReply>(reply.body).data.push_back(whole.slice(0, bytes));
  }
  REQUIRE(f.port->send(f.recorder.clients[0], reply) == SendResult::sent);
  CHECK(std::get<FetchedReply>(reply.body).data.empty());
  const auto received = client.receive();
  REQUIRE(received);
  REQUIRE(received->data.size() == 2);
  CHECK(received->data[0].size() == 100);
  CHECK(received->data[1] == Bytes(64 * KiB, std::byte{0x5a}));
}

TEST_CASE("PR-08 messages of any shape are drained whole and the next request is read") {
  Fixture f("tcp://127.0.0.1:0");
  RawClient client(f.address);
  client.send(std::vector<Bytes>(1000, raw::ping(5)));
  client.send({Bytes{}});
  client.send({Bytes{}, raw::ping(6)});
  client.send({raw::ping(7)});
  f.receive(2);
  CHECK(f.recorder.refused == std::vector<std::pair<std::uint64_t, Errc>>{{5, Errc::bad_request}});
  CHECK(f.recorder.ids == std::vector<std::uint64_t>{7});
  CHECK(f.metrics.rejected[static_cast<std::size_t>(Errc::bad_request)].get() == 2);
}

TEST_CASE("what has no readable id is counted and dropped") {
  Fixture f("tcp://127.0.0.1:0");
  RawClient client(f.address);
  client.send({Bytes(100, std::byte{7})});
  f.receive_until_dropped(1);
  CHECK(f.recorder.clients.empty());
}

TEST_CASE("PR-06 a frame above the limit ends that connection only") {
  ClientPortOptions options;
  options.frame_bytes_max = 64 * KiB;
  Fixture f("tcp://127.0.0.1:0", options);
  RawClient large(f.address), good(f.address);
  large.send({raw::produce(1, {}), Bytes(65 * KiB)});
  large.send({raw::ping(2)});
  good.send({raw::ping(3)});
  // The large one reconnects and sends what was behind; what was too large never arrives.
  f.receive(1);
  CHECK(f.recorder.ids.front() != 1);
  CHECK(f.recorder.refused.empty());
}

TEST_CASE("PR-14 a client that never reads is busy after a bounded number of replies") {
  ClientPortOptions options;
  options.queue_messages = 8;
  Fixture f("inproc://port", options);
  RawClient client(f.address, f.context.raw(), 8);
  client.send({raw::ping(1)});
  f.receive(1);
  int sent = 0;
  Reply reply{1, DoneReply{}};
  while (f.port->send(f.recorder.clients[0], reply) == SendResult::sent) REQUIRE(++sent < 1000);
  CHECK(sent <= 16);
  CHECK(f.port->send(f.recorder.clients[0], reply) == SendResult::busy);
  // Once it reads, it can be sent to again.
  while (client.receive(std::chrono::milliseconds(50))) {
  }
  CHECK(f.port->send(f.recorder.clients[0], reply) == SendResult::sent);
}

SendResult send_until_gone(Fixture& f, ClientHandle handle) {
  const auto last = std::chrono::steady_clock::now() + test::patience;
  Reply reply{1, DoneReply{}};
  SendResult result = SendResult::sent;
  while (result != SendResult::gone && std::chrono::steady_clock::now() < last) {
    result = f.port->send(handle, reply);
    static_cast<void>(f.port->socket().events());
  }
  return result;
}

TEST_CASE("a client that left is gone, and its handle stays so") {
  Fixture f("tcp://127.0.0.1:0");
  {
    RawClient client(f.address);
    client.send({raw::ping(1)});
    f.receive(1);
  }
  const ClientHandle handle = f.recorder.clients[0];
  CHECK(send_until_gone(f, handle) == SendResult::gone);
  Reply reply{1, DoneReply{}};
  CHECK(f.port->send(handle, reply) == SendResult::gone);
  CHECK(f.port->client_count() == 0);
}

TEST_CASE("a silent client without subscriptions is forgotten after a while and may come back") {
  Fixture f("tcp://127.0.0.1:0");
  RawClient client(f.address);
  client.send({raw::ping(1)});
  f.receive(1);
  f.clock.advance(seconds(599));
  f.port->tend(f.clock.now());
  CHECK(f.recorder.gone.empty());
  f.clock.advance(seconds(2));
  f.port->tend(f.clock.now());
  CHECK(f.recorder.gone == std::vector<ClientHandle>{f.recorder.clients[0]});
  CHECK_FALSE(client.receive(std::chrono::milliseconds(50)));
  client.send({raw::ping(2)});
  f.receive(2);
  CHECK(f.recorder.clients[1] != f.recorder.clients[0]);
}

TEST_CASE("a silent client with a subscription is probed, and given up when it has left") {
  Fixture f("tcp://127.0.0.1:0");
  auto client = std::make_unique<RawClient>(f.address);
  client->send({raw::subscribe(1, {}, 5, 4096)});
  f.receive(1);
  f.clock.advance(seconds(31));
  f.port->tend(f.clock.now());
  CHECK(f.recorder.gone.empty());
  const auto probe = client->receive();
  REQUIRE(probe);
  CHECK(probe->id() == request_id_reserved);
  client.reset();
  const auto last = std::chrono::steady_clock::now() + test::patience;
  while (f.recorder.gone.empty() && std::chrono::steady_clock::now() < last) {
    // Every turn of the loop looks at the events; that is when the socket learns that a peer left.
    static_cast<void>(f.port->socket().events());
    f.clock.advance(seconds(31));
    f.port->tend(f.clock.now());
  }
  CHECK(f.recorder.gone == std::vector<ClientHandle>{f.recorder.clients[0]});
}

TEST_CASE("clients above the limit are answered overloaded") {
  ClientPortOptions options;
  options.clients_max = 1;
  Fixture f("tcp://127.0.0.1:0", options);
  RawClient first(f.address);
  first.send({raw::ping(1)});
  f.receive(1);
  RawClient second(f.address);
  second.send({raw::ping(2)});
  std::optional<test::RawReply> reply;
  REQUIRE(test::eventually([&] {
    f.port->receive_one();
    return (reply = second.receive(std::chrono::milliseconds(10))).has_value();
  }));
  CHECK(reply->id() == 2);
  CHECK(reply->error() == static_cast<std::uint16_t>(Errc::overloaded));
}

}  // namespace
}  // namespace millrace
