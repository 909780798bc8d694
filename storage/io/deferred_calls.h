// Calls that are made from the next firing of the timers, so that no answer comes from inside the
// call that asked.
//
// Owner: whoever answers. A call may destroy the owner; calls that wait when the owner dies are
// never made. Thread: the shard's. Always: in the order in which they were added.
#pragma once

#include "storage/io/clock.h"
#include "storage/io/timers.h"

#include <functional>
#include <list>
#include <utility>

namespace millrace {

class DeferredCalls {
 public:
  // Both must outlive this.
  DeferredCalls(Timers& timers, Clock& clock) : timers_(timers), clock_(clock) {}
  DeferredCalls(const DeferredCalls&) = delete;
  DeferredCalls& operator=(const DeferredCalls&) = delete;

  void add(std::function<void()> call) {
    Waiting& waiting = waiting_.emplace_back(*this, std::move(call));
    waiting.self = std::prev(waiting_.end());
    timers_.arm(waiting.timer, clock_.now());
  }

 private:
  struct Waiting {
    Waiting(DeferredCalls& calls, std::function<void()> c)
        : timer(this, &DeferredCalls::fire), owner(calls), call(std::move(c)) {}
    Timer timer;
    DeferredCalls& owner;
    std::function<void()> call;
    std::list<Waiting>::iterator self;
  };
  static void fire(void* due) {
    auto& waiting = *static_cast<Waiting*>(due);
    const auto call = std::move(waiting.call);
    waiting.owner.waiting_.erase(waiting.self);
    call();
  }

  Timers& timers_;
  Clock& clock_;
  std::list<Waiting> waiting_;
};

}  // namespace millrace
