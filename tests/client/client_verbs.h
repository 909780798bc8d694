// What most tests of the client begin with.
#pragma once

#include "millrace/client.h"
#include "tests/support/fake_broker.h"
#include "tests/support/patience.h"

#include <catch2/catch.hpp>

#include <chrono>
#include <string>
#include <vector>

namespace millrace::test {

// A client that is back soon after a break.
inline Client connect(const std::string& endpoint, std::chrono::milliseconds timeout = patience) {
  ClientOptions options;
  options.endpoint = endpoint;
  options.timeout = timeout;
  options.reconnect_min = std::chrono::milliseconds(5);
  options.reconnect_max = std::chrono::milliseconds(50);
  auto client = Client::connect(options);
  REQUIRE(client.has_value());
  return *client;
}
inline Client connect(const FakeBroker& broker, std::chrono::milliseconds timeout = patience) {
  return connect(broker.endpoint(), timeout);
}

// "begin" to "end - 1", as payloads.
inline std::vector<std::string> numbers(int begin, int end) {
  std::vector<std::string> out;
  for (int i = begin; i < end; ++i) out.push_back(std::to_string(i));
  return out;
}

}  // namespace millrace::test
