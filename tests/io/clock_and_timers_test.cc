#include "storage/io/system_clock.h"
#include "storage/io/timers.h"

#include <catch2/catch.hpp>

#include <ctime>
#include <memory>
#include <vector>

using namespace millrace;

TEST_CASE("the system's clock never goes back") {
  SystemClock clock;
  Instant last = clock.now();
  for (int i = 0; i < 10'000; ++i) {
    const Instant now = clock.now();
    REQUIRE(now >= last);
    last = now;
  }
}

TEST_CASE("the wall time is the operator's") {
  const auto before = std::int64_t{std::time(nullptr)};
  const std::int64_t now = SystemClock().wall().ns / 1'000'000'000;
  CHECK(now >= before);
  CHECK(now <= std::time(nullptr) + 1);
}

namespace {

struct Alarm {
  explicit Alarm(Timers& t)
      : timers(t), timer(this, [](void* self) { static_cast<Alarm*>(self)->on_time(); }) {}
  void on_time() {
    ++fired;
    if (again) timers.arm(timer, Instant{again});
    if (other != nullptr) other->timer.cancel();
  }
  Timers& timers;
  Timer timer;
  int fired = 0;
  std::int64_t again = 0;
  Alarm* other = nullptr;
};

}  // namespace

TEST_CASE("timers fire in the order of their deadlines, none before its time") {
  Timers timers;
  Alarm late(timers), early(timers);
  timers.arm(late.timer, Instant{20});
  timers.arm(early.timer, Instant{10});
  CHECK(timers.next_deadline() == Instant{10});
  CHECK(timers.fire(Instant{9}) == 0);
  CHECK(timers.fire(Instant{10}) == 1);
  CHECK(early.fired == 1);
  CHECK(late.fired == 0);
  CHECK(timers.fire(Instant{1000}) == 1);
  CHECK(timers.next_deadline() == instant_never);
}

TEST_CASE("a timer armed again counts only once, at its last deadline") {
  Timers timers;
  Alarm alarm(timers);
  timers.arm(alarm.timer, Instant{10});
  timers.arm(alarm.timer, Instant{30});
  CHECK(timers.fire(Instant{20}) == 0);
  CHECK(timers.fire(Instant{30}) == 1);
}

TEST_CASE("a timer that arms itself for the past waits for the next call") {
  Timers timers;
  Alarm alarm(timers);
  alarm.again = 5;
  timers.arm(alarm.timer, Instant{10});
  CHECK(timers.fire(Instant{100}) == 1);
  CHECK(timers.fire(Instant{100}) == 1);
  CHECK(alarm.fired == 2);
}

TEST_CASE("a handler may cancel a timer that is due in the same call") {
  Timers timers;
  Alarm first(timers), second(timers);
  first.other = &second;
  timers.arm(first.timer, Instant{10});
  timers.arm(second.timer, Instant{10});
  CHECK(timers.fire(Instant{10}) == 1);
  CHECK(second.fired == 0);
  CHECK_FALSE(second.timer.armed());
}

TEST_CASE("timers and their owners may end in any order") {
  auto timers = std::make_unique<Timers>();
  Alarm kept(*timers);
  timers->arm(kept.timer, Instant{10});
  {
    Alarm gone(*timers);
    timers->arm(gone.timer, Instant{5});
  }
  CHECK(timers->next_deadline() == Instant{10});
  timers.reset();
  CHECK_FALSE(kept.timer.armed());
}
