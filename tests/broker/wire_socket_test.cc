#include "broker/wire/zmq_socket.h"
#include "tests/support/zmq_context.h"

#include <catch2/catch.hpp>
#include <zmq.h>

namespace millrace {

TEST_CASE("a name of this process is free when its socket has been closed") {
  const test::ZmqContext context;
  for (int i = 0; i < 500; ++i) {
    auto socket = ZmqSocket::open(context.raw(), ZMQ_ROUTER);
    REQUIRE(socket);
    const auto bound = socket->bind("inproc://again");
    INFO((bound ? std::string() : bound.error().text));
    REQUIRE(bound);
    auto peer = ZmqSocket::open(context.raw(), ZMQ_DEALER);
    REQUIRE(peer);
    REQUIRE(peer->connect("inproc://again"));
  }
}

TEST_CASE("all names of a socket are free when it has been closed") {
  const test::ZmqContext context;
  for (int i = 0; i < 200; ++i) {
    {
      auto socket = ZmqSocket::open(context.raw(), ZMQ_ROUTER);
      REQUIRE(socket);
      REQUIRE(socket->bind("inproc://first"));
      REQUIRE(socket->bind("inproc://second"));
    }
    // As libzmq has it: bind() of a ZmqSocket would wait for the name.
    void* other = zmq_socket(context.raw(), ZMQ_ROUTER);
    CHECK(zmq_bind(other, "inproc://first") == 0);
    CHECK(zmq_bind(other, "inproc://second") == 0);
    zmq_unbind(other, "inproc://first");
    zmq_unbind(other, "inproc://second");
    zmq_close(other);
  }
}

TEST_CASE("a port is taken again by the process that has just let it go") {
  const test::ZmqContext context;
  std::string endpoint = "tcp://127.0.0.1:0";
  for (int i = 0; i < 100; ++i) {
    auto socket = ZmqSocket::open(context.raw(), ZMQ_ROUTER);
    REQUIRE(socket);
    const auto bound = socket->bind(endpoint);
    INFO((bound ? std::string() : bound.error().text));
    REQUIRE(bound);
    endpoint = *bound;
  }
}

}  // namespace millrace
