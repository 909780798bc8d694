#include "storage/io/deferred_calls.h"

#include "tests/sim/sim_clock.h"

#include <catch2/catch.hpp>

#include <memory>
#include <string>

using namespace millrace;

namespace {

struct Deferring {
  sim::SimClock clock;
  Timers timers;
  DeferredCalls calls{timers, clock};
};

}  // namespace

TEST_CASE("a deferred call is made by the next firing of timers and never before") {
  Deferring d;
  int made = 0;
  d.calls.add([&] { ++made; });
  REQUIRE(made == 0);
  REQUIRE(d.timers.next_deadline() == d.clock.now());
  d.timers.fire(d.clock.now());
  REQUIRE(made == 1);
  d.timers.fire(d.clock.now());
  REQUIRE(made == 1);
}

TEST_CASE("deferred calls are made in order, and one that a call adds waits for the next firing") {
  Deferring d;
  std::string made;
  d.calls.add([&] {
    made += 'a';
    d.calls.add([&] { made += 'c'; });
  });
  d.calls.add([&] { made += 'b'; });
  d.timers.fire(d.clock.now());
  REQUIRE(made == "ab");
  d.timers.fire(d.clock.now());
  REQUIRE(made == "abc");
}

TEST_CASE("a deferred call may destroy what deferred it, and calls that still wait are not made") {
  sim::SimClock clock;
  Timers timers;
  auto calls = std::make_unique<DeferredCalls>(timers, clock);
  int made = 0;
  calls->add([&] {
    ++made;
    calls.reset();
  });
  calls->add([&] { ++made; });
  timers.fire(clock.now());
  timers.fire(clock.now());
  REQUIRE(made == 1);
}
