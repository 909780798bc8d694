// The background thread of one client: tasks from other threads, timers, sockets. It is the only
// thread that touches a ZeroMQ socket.
//
// Owner: Connection. Thread: post() may be called from any; everything else is for tasks, timers
// and watchers, which run on the loop's thread one after the other. Waking: a task costs a system
// call only when the thread sleeps; while it works, it finds the task by itself.
#pragma once

#include <zmq.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace millrace::detail {

using SteadyClock = std::chrono::steady_clock;
using TimePoint = SteadyClock::time_point;

class Loop {
 public:
  using Task = std::move_only_function<void()>;
  using TimerId = std::pair<TimePoint, std::uint64_t>;
  // `ready`: ZMQ_POLLIN, ZMQ_POLLOUT or both.
  using Watcher = std::function<void(short ready)>;

  // `farewell` is the last that the thread runs.
  explicit Loop(Task farewell);
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;
  // Runs what was posted, stops and joins. Never on the loop's own thread.
  ~Loop();

  // `task` runs soon. Order of posting is order of running.
  void post(Task task);

  TimerId at(TimePoint when, Task task);
  void cancel(const TimerId& timer) { timers_.erase(timer); }

  // Calls `watcher` whenever `socket` is ready for one of `events`.
  void watch(void* socket, short events, Watcher watcher);
  void set_events(void* socket, short events);
  void unwatch(void* socket);

 private:
  struct Watch {
    void* socket = nullptr;
    short events = 0;
    Watcher watcher;
  };

  void run();
  void run_tasks();
  void fire_timers();
  // False when the loop is to stop.
  bool wait();
  void dispatch();
  Watch* find(void* socket);

  Task farewell_;
  int wake_fd_ = -1;

  std::mutex mutex_;
  std::vector<Task> tasks_;  // guarded, as are the next two
  bool sleeping_ = false;
  bool stopping_ = false;

  std::vector<Task> running_;
  std::map<TimerId, Task> timers_;
  std::uint64_t next_timer_ = 0;
  std::vector<Watch> watches_;
  std::vector<zmq_pollitem_t>
      items_;  // of the wait in progress: the wake-up first, then one per watch
  std::thread thread_;
};

}  // namespace millrace::detail
