#include "client/src/endpoint.h"

#include <catch2/catch.hpp>

using millrace::detail::endpoint_fault;
using millrace::detail::is_ipv6_endpoint;

TEST_CASE("endpoints that a client can dial") {
  for (const char* endpoint : {"tcp://127.0.0.1:7711", "tcp://db1.example:1", "tcp://[::1]:65535",
                               "ipc:///run/millrace.sock", "ipc://@abstract", "inproc://broker"}) {
    INFO(endpoint);
    CHECK_FALSE(endpoint_fault(endpoint));
  }
}

TEST_CASE("what is no endpoint is refused with the form that is expected") {
  for (const char* endpoint :
       {"", "bogus", "127.0.0.1:7711", "http://127.0.0.1:7711", "TCP://127.0.0.1:7711", "tcp://",
        "tcp://127.0.0.1", "tcp://127.0.0.1:", "tcp://:7711", "tcp://*:7711", "tcp://127.0.0.1:0",
        "tcp://127.0.0.1:65536", "tcp://127.0.0.1:77x", "tcp://127.0.0.1:-1", "ipc://",
        "inproc://"}) {
    INFO(endpoint);
    const auto fault = endpoint_fault(endpoint);
    REQUIRE(fault);
    CHECK(fault->find(std::string("'") + endpoint + "'") != std::string::npos);
    CHECK(fault->find("write tcp://HOST:PORT or ipc://PATH") != std::string::npos);
  }
}

TEST_CASE("only an address in brackets asks for IPv6") {
  CHECK(is_ipv6_endpoint("tcp://[::1]:7711"));
  CHECK_FALSE(is_ipv6_endpoint("tcp://127.0.0.1:7711"));
  CHECK_FALSE(is_ipv6_endpoint("tcp://localhost:7711"));
  CHECK_FALSE(is_ipv6_endpoint("ipc://[x]"));
}
