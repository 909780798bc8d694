#include "client/src/loop.h"

#include "client/src/socket.h"
#include "tests/support/patience.h"

#include <catch2/catch.hpp>

#include <atomic>
#include <future>
#include <memory>

using namespace millrace::detail;
using namespace std::chrono_literals;

TEST_CASE("tasks run in the order in which they were posted, each once") {
  std::vector<int> seen;
  bool farewell = false;
  {
    Loop loop([&] { farewell = true; });
    for (int i = 0; i < 10'000; ++i) loop.post([&seen, i] { seen.push_back(i); });
  }
  REQUIRE(seen.size() == 10'000);
  for (int i = 0; i < 10'000; ++i) REQUIRE(seen[static_cast<std::size_t>(i)] == i);
  CHECK(farewell);
}

TEST_CASE("a sleeping loop wakes for every task") {
  Loop loop([] {});
  for (int i = 0; i < 1'000; ++i) {
    std::promise<void> ran;
    loop.post([&] { ran.set_value(); });
    REQUIRE(ran.get_future().wait_for(millrace::test::patience) == std::future_status::ready);
  }
}

TEST_CASE("timers fire in the order of their times and a cancelled one does not") {
  std::promise<std::vector<int>> done;
  Loop loop([] {});
  loop.post([&] {
    auto seen = std::make_shared<std::vector<int>>();
    const TimePoint now = SteadyClock::now();
    loop.at(now + 20ms, [&, seen] { done.set_value(*seen); });
    loop.at(now + 10ms, [seen] { seen->push_back(2); });
    loop.at(now - 1s, [seen] { seen->push_back(1); });
    const auto cancelled = loop.at(now + 5ms, [seen] { seen->push_back(99); });
    loop.cancel(cancelled);
  });
  CHECK(done.get_future().get() == std::vector<int>{1, 2});
}

TEST_CASE("a watched socket is served while tasks keep coming") {
  const Context context(nullptr);
  std::atomic<bool> received{false};
  std::promise<void> connected, closed;
  {
    Socket sender(context, ZMQ_PAIR);
    REQUIRE(zmq_bind(sender.handle(), "inproc://loop-test") == 0);
    auto receiver = std::make_unique<Socket>();
    std::function<void()> busy;  // outlives the loop, which runs what was posted before it ends
    Loop loop([&] {
      receiver->close();
      closed.set_value();
    });
    loop.post([&] {
      *receiver = Socket(context, ZMQ_PAIR);
      receiver->connect("inproc://loop-test");
      loop.watch(receiver->handle(), ZMQ_POLLIN, [&](short) {
        if (!receiver->receive(1).empty()) received = true;
      });
      connected.set_value();
    });
    // A task that posts itself: the loop is never without one.
    busy = [&] {
      if (!received) loop.post(busy);
    };
    loop.post(busy);
    connected.get_future().get();
    zmq::message_t message(std::string("x"));
    REQUIRE(sender.send(message, false) == Socket::Sent::yes);
    CHECK(millrace::test::eventually([&] { return received.load(); }));
  }
  closed.get_future().get();
}
