#include "storage/io/system_clock.h"

#include "storage/base/check.h"

#include <ctime>

namespace millrace {
namespace {

std::int64_t nanoseconds_of(clockid_t clock) {
  timespec time{};
  CHECK(clock_gettime(clock, &time) == 0, "the kernel has this clock");
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

Instant SystemClock::now() { return Instant{nanoseconds_of(CLOCK_MONOTONIC)}; }
WallTime SystemClock::wall() { return WallTime{nanoseconds_of(CLOCK_REALTIME)}; }

}  // namespace millrace
