// Deadlines over the turn's time. The turn asks next_deadline() before it sleeps and fires what is
// due after it woke.
//
// A Timer is embedded in its owner and must be idle or cancelled when it dies. Thread: the shard's.
#pragma once

#include "storage/base/check.h"
#include "storage/base/units.h"

#include <map>

namespace millrace {

class Timers;

class Timer {
 public:
  using Handler = void (*)(void* owner);
  Timer(void* owner, Handler handler) : owner_(owner), handler_(handler) {}
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  ~Timer();

  bool armed() const { return timers_ != nullptr; }
  Instant deadline() const { return deadline_; }
  void cancel();

 private:
  friend class Timers;
  void* owner_;
  Handler handler_;
  Timers* timers_ = nullptr;
  Instant deadline_ = instant_never;
  std::multimap<Instant, Timer*>::iterator place_;
};

class Timers {
 public:
  Timers() = default;
  Timers(const Timers&) = delete;
  Timers& operator=(const Timers&) = delete;
  ~Timers();

  // Re-arms a timer that is already armed.
  void arm(Timer& timer, Instant deadline);
  Instant next_deadline() const { return due_.empty() ? instant_never : due_.begin()->first; }
  // Fires what is due at `now`, each once; a timer armed by a handler for a moment already past
  // waits for the next call, so that late timers never keep a turn busy.
  std::size_t fire(Instant now);

 private:
  friend class Timer;
  std::multimap<Instant, Timer*> due_;
};

}  // namespace millrace
