// Clock over the kernel: CLOCK_MONOTONIC and CLOCK_REALTIME. Thread: any; it has no state.
#pragma once

#include "storage/io/clock.h"

namespace millrace {

class SystemClock final : public Clock {
 public:
  Instant now() override;
  WallTime wall() override;
};

}  // namespace millrace
