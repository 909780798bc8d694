// What reactor.h promises, checked on both reactors.
#include "storage/io/reactor.h"

#include "storage/io/poll_reactor.h"
#include "storage/io/ring.h"
#include "storage/io/system_clock.h"
#include "tests/io/io_fixture.h"

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

using namespace millrace;

namespace {

// That of each backend in turn.
std::unique_ptr<Reactor> each_reactor() {
  const IoChoice backend = GENERATE(from_range(test::backends_here()));
  if (backend == IoChoice::threads) return std::make_unique<PollReactor>();
  auto ring = Ring::create();
  if (!ring) FAIL(ring.error().text);
  return std::move(*ring);
}

class Event : public Watcher {
 public:
  Event() : descriptor(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}
  ~Event() override { close(descriptor); }
  void set() const {
    const std::uint64_t one = 1;
    REQUIRE(::write(descriptor, &one, sizeof one) == sizeof one);
  }
  void clear() const {
    std::uint64_t value = 0;
    (void)!::read(descriptor, &value, sizeof value);
  }
  void on_readable() override {
    ++calls;
    if (then) then();
  }
  const int descriptor;
  int calls = 0;
  std::function<void()> then;
};

Instant soon() { return SystemClock().now() + milliseconds(5); }
Instant late() { return SystemClock().now() + seconds(60); }
Instant past() { return Instant{0}; }

}  // namespace

TEST_CASE("a deadline in the past returns at once, with what is readable") {
  auto reactor = each_reactor();
  Event event;
  REQUIRE(reactor->watch(event.descriptor, event).has_value());
  reactor->wait_until(past());
  CHECK(event.calls == 0);
  event.set();
  const Instant give_up = late();  // a ring may need more than one look
  while (event.calls == 0 && SystemClock().now() < give_up) reactor->wait_until(past());
  CHECK(event.calls >= 1);
  reactor->unwatch(event.descriptor);
}

TEST_CASE("the wait ends at its deadline, not before") {
  auto reactor = each_reactor();
  const Instant deadline = soon();
  while (SystemClock().now() < deadline) reactor->wait_until(deadline);
  CHECK(SystemClock().now() >= deadline);
  CHECK(SystemClock().now() < deadline + seconds(60));
}

TEST_CASE("a descriptor that another thread makes readable ends the wait") {
  auto reactor = each_reactor();
  Event event;
  event.then = [&] { event.clear(); };
  REQUIRE(reactor->watch(event.descriptor, event).has_value());
  std::thread other([&] { event.set(); });
  const Instant give_up = late();
  while (event.calls == 0 && SystemClock().now() < give_up) reactor->wait_until(give_up);
  other.join();
  CHECK(event.calls == 1);
  reactor->unwatch(event.descriptor);
}

TEST_CASE("what was not read is told again, what was read is not") {
  auto reactor = each_reactor();
  Event event;
  REQUIRE(reactor->watch(event.descriptor, event).has_value());
  event.set();
  for (int i = 1; i <= 3; ++i) {
    const Instant give_up = late();
    while (event.calls < i && SystemClock().now() < give_up) reactor->wait_until(give_up);
    CHECK(event.calls == i);
  }
  event.clear();
  reactor->wait_until(soon());
  const int before = event.calls;
  reactor->wait_until(soon());
  CHECK(event.calls == before);
  reactor->unwatch(event.descriptor);
}

TEST_CASE("a thousand wake-ups are all seen") {
  auto reactor = each_reactor();
  Event event;
  event.then = [&] { event.clear(); };
  REQUIRE(reactor->watch(event.descriptor, event).has_value());
  for (int i = 1; i <= 1000; ++i) {
    event.set();
    const Instant give_up = late();
    while (event.calls < i && SystemClock().now() < give_up) reactor->wait_until(give_up);
    REQUIRE(event.calls == i);
  }
  reactor->unwatch(event.descriptor);
}

TEST_CASE("an unwatched descriptor is not told of and may be watched again") {
  auto reactor = each_reactor();
  Event event;
  REQUIRE(reactor->watch(event.descriptor, event).has_value());
  reactor->wait_until(past());
  reactor->unwatch(event.descriptor);
  event.set();
  reactor->wait_until(soon());
  reactor->wait_until(past());
  CHECK(event.calls == 0);
  REQUIRE(reactor->watch(event.descriptor, event).has_value());
  const Instant give_up = late();
  while (event.calls == 0 && SystemClock().now() < give_up) reactor->wait_until(give_up);
  CHECK(event.calls == 1);
  reactor->unwatch(event.descriptor);
  reactor->unwatch(event.descriptor);  // nothing to end
}

TEST_CASE("a watcher may end its own watch, and another's that is ready too") {
  auto reactor = each_reactor();
  Event first, second;
  first.then = [&] {
    reactor->unwatch(first.descriptor);
    reactor->unwatch(second.descriptor);
  };
  REQUIRE(reactor->watch(first.descriptor, first).has_value());
  REQUIRE(reactor->watch(second.descriptor, second).has_value());
  first.set();
  second.set();
  const Instant give_up = late();
  while (first.calls == 0 && SystemClock().now() < give_up) reactor->wait_until(give_up);
  reactor->wait_until(soon());
  CHECK(first.calls == 1);
  // Whichever came first, nobody is told after the watches ended.
  const int second_calls = second.calls;
  CHECK(second_calls <= 1);
  reactor->wait_until(soon());
  CHECK(second.calls == second_calls);
}

TEST_CASE("a watcher may watch more from its call") {
  auto reactor = each_reactor();
  Event first;
  std::vector<std::unique_ptr<Event>> more;
  first.then = [&] {
    first.clear();
    for (int i = 0; i < 50; ++i) {
      more.push_back(std::make_unique<Event>());
      more.back()->set();
      REQUIRE(reactor->watch(more.back()->descriptor, *more.back()).has_value());
    }
  };
  REQUIRE(reactor->watch(first.descriptor, first).has_value());
  first.set();
  const auto all_called = [&] {
    return more.size() == 50 &&
           std::all_of(more.begin(), more.end(), [](auto& e) { return e->calls > 0; });
  };
  const Instant give_up = late();
  while (!all_called() && SystemClock().now() < give_up) reactor->wait_until(give_up);
  CHECK(all_called());
  for (auto& event : more) reactor->unwatch(event->descriptor);
  reactor->unwatch(first.descriptor);
}

TEST_CASE("a reactor may end with watches in place") {
  auto reactor = each_reactor();
  Event event;
  REQUIRE(reactor->watch(event.descriptor, event).has_value());
  reactor->wait_until(past());
  reactor.reset();
  event.set();
  CHECK(event.calls == 0);
}
