// Clock that moves only when a test moves it.
#pragma once

#include "storage/base/check.h"
#include "storage/io/clock.h"

namespace millrace::sim {

class SimClock final : public Clock {
 public:
  Instant now() override { return now_; }
  WallTime wall() override { return wall_; }

  // Both clocks go on by `passed`.
  void advance(Duration passed) {
    CHECK(passed.ns >= 0, "time does not go back");
    now_.ns += passed.ns;
    wall_.ns += passed.ns;
  }
  void advance_to(Instant moment) {
    if (moment > now_) advance(moment - now_);
  }
  // Somebody set the watch; the monotonic clock does not notice.
  void set_wall(WallTime wall) { wall_ = wall; }

 private:
  Instant now_{1'000'000'000};
  WallTime wall_{1'700'000'000'000'000'000};
};

}  // namespace millrace::sim
