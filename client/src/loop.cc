#include "loop.h"

#include "storage/base/check.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>

namespace millrace::detail {

Loop::Loop(Task farewell)
    : farewell_(std::move(farewell)), wake_fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  CHECK(wake_fd_ >= 0, "a client needs a descriptor for wake-ups");
  thread_ = std::thread([this] { run(); });
}

Loop::~Loop() {
  CHECK(std::this_thread::get_id() != thread_.get_id(), "a client's own thread cannot end it");
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  ::eventfd_write(wake_fd_, 1);
  thread_.join();
  ::close(wake_fd_);
}

void Loop::post(Task task) {
  bool wake = false;
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return;
    tasks_.push_back(std::move(task));
    wake = std::exchange(sleeping_, false);
  }
  if (wake) ::eventfd_write(wake_fd_, 1);
}

Loop::TimerId Loop::at(TimePoint when, Task task) {
  const TimerId id{when, next_timer_++};
  timers_.emplace(id, std::move(task));
  return id;
}

void Loop::watch(void* socket, short events, Watcher watcher) {
  watches_.push_back({socket, events, std::move(watcher)});
}

void Loop::set_events(void* socket, short events) {
  if (Watch* watch = find(socket)) watch->events = events;
}

void Loop::unwatch(void* socket) {
  std::erase_if(watches_, [&](const Watch& watch) { return watch.socket == socket; });
}

Loop::Watch* Loop::find(void* socket) {
  const auto at = std::find_if(watches_.begin(), watches_.end(),
                               [&](const Watch& w) { return w.socket == socket; });
  return at == watches_.end() ? nullptr : &*at;
}

void Loop::run() {
  do {
    run_tasks();
    fire_timers();
  } while (wait());
  run_tasks();
  farewell_();
}

void Loop::run_tasks() {
  {
    std::lock_guard lock(mutex_);
    running_.swap(tasks_);
  }
  for (Task& task : running_) task();
  running_.clear();
}

void Loop::fire_timers() {
  const TimePoint now = SteadyClock::now();
  while (!timers_.empty() && timers_.begin()->first.first <= now) {
    auto timer = timers_.extract(timers_.begin());
    timer.mapped()();
  }
}

bool Loop::wait() {
  long timeout_ms = -1;
  if (!timers_.empty()) {
    const auto pause = std::chrono::ceil<std::chrono::milliseconds>(timers_.begin()->first.first -
                                                                    SteadyClock::now());
    timeout_ms = static_cast<long>(std::clamp<std::int64_t>(pause.count(), 0, 60'000));
  }
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return false;
    if (tasks_.empty()) {
      sleeping_ = true;
    } else {
      timeout_ms = 0;  // tasks wait, but sockets get their turn first
    }
  }
  items_.clear();
  items_.push_back({nullptr, wake_fd_, ZMQ_POLLIN, 0});
  for (const Watch& watch : watches_) items_.push_back({watch.socket, 0, watch.events, 0});
  const int ready = zmq_poll(items_.data(), static_cast<int>(items_.size()), timeout_ms);
  {
    std::lock_guard lock(mutex_);
    sleeping_ = false;
  }
  if (ready > 0) dispatch();
  return true;
}

void Loop::dispatch() {
  if ((items_.front().revents & ZMQ_POLLIN) != 0) {
    eventfd_t count = 0;
    ::eventfd_read(wake_fd_, &count);
  }
  for (const zmq_pollitem_t& item : items_) {
    if (item.socket == nullptr || item.revents == 0) continue;
    // A watcher may end any watch, its own included: look it up afresh and keep it alive for the
    // call.
    if (const Watch* watch = find(item.socket)) {
      const Watcher watcher = watch->watcher;
      watcher(item.revents);
    }
  }
}

}  // namespace millrace::detail
