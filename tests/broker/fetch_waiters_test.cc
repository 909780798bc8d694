#include "broker/fetch/fetch_waiters.h"

#include <catch2/catch.hpp>

#include <vector>

using namespace millrace;

namespace {

struct Waiter final : ParkedFetch {
  void on_data() override {
    ++woken;
    if (park_again > 0) waiters->park(*this, std::exchange(park_again, 0));
  }
  int woken = 0;
  std::uint64_t park_again = 0;
  FetchWaiters* waiters = nullptr;
};

}  // namespace

TEST_CASE("a fetch is woken when the bytes it misses are durable") {
  FetchWaiters waiters;
  Waiter small, large;
  waiters.park(large, 100);
  waiters.park(small, 10);
  waiters.release(9);
  CHECK(small.woken == 0);
  waiters.release(1);
  CHECK(small.woken == 1);
  CHECK(large.woken == 0);
  waiters.release(1000);
  CHECK(large.woken == 1);
  CHECK(small.woken == 1);
  CHECK(waiters.empty());
}

TEST_CASE("a fetch that parks itself again in its waking is not woken twice by the same bytes") {
  FetchWaiters waiters;
  Waiter waiter;
  waiter.waiters = &waiters;
  waiter.park_again = 5;
  waiters.park(waiter, 10);
  waiters.release(12);
  CHECK(waiter.woken == 1);
  waiters.release(5);
  CHECK(waiter.woken == 2);
}

TEST_CASE("a fetch that dies while it is parked is not woken") {
  FetchWaiters waiters;
  {
    Waiter waiter;
    waiters.park(waiter, 1);
  }
  CHECK(waiters.empty());
  waiters.release(10);
}
