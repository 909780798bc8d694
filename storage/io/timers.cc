#include "storage/io/timers.h"

namespace millrace {

Timer::~Timer() { cancel(); }

void Timer::cancel() {
  if (timers_ == nullptr) return;
  timers_->due_.erase(place_);
  timers_ = nullptr;
  deadline_ = instant_never;
}

Timers::~Timers() {
  while (!due_.empty()) due_.begin()->second->cancel();
}

void Timers::arm(Timer& timer, Instant deadline) {
  timer.cancel();
  timer.deadline_ = deadline;
  timer.place_ = due_.emplace(deadline, &timer);
  timer.timers_ = this;
}

std::size_t Timers::fire(Instant now) {
  // Only what was due when the call began; a handler may cancel or re-arm any timer, itself
  // included.
  std::size_t budget = 0;
  for (auto it = due_.begin(); it != due_.end() && it->first <= now; ++it) ++budget;
  std::size_t fired = 0;
  while (fired < budget && !due_.empty() && due_.begin()->first <= now) {
    Timer& timer = *due_.begin()->second;
    timer.cancel();
    ++fired;
    timer.handler_(timer.owner_);
  }
  return fired;
}

}  // namespace millrace
