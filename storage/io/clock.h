// Seam: the only source of time. The turn reads it once; nothing else in the tree reads a clock.
#pragma once

#include "storage/base/units.h"

namespace millrace {

class Clock {
 public:
  virtual ~Clock() = default;
  // Never goes back.
  virtual Instant now() = 0;
  // What the operator's watch says; may jump.
  virtual WallTime wall() = 0;
};

}  // namespace millrace
