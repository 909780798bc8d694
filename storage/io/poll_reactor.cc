#include "storage/io/poll_reactor.h"

#include "storage/base/check.h"
#include "storage/io/system_clock.h"

#include <algorithm>

namespace millrace {

Result<void> PollReactor::watch(int descriptor, Watcher& watcher) {
  for (std::size_t i = 0; i < polled_.size(); ++i) {
    CHECK(watchers_[i] == nullptr || polled_[i].fd != descriptor, "a descriptor has one watcher");
  }
  polled_.push_back({.fd = descriptor, .events = POLLIN, .revents = 0});
  watchers_.push_back(&watcher);
  return {};
}

void PollReactor::unwatch(int descriptor) {
  for (std::size_t i = 0; i < polled_.size(); ++i) {
    if (polled_[i].fd != descriptor || watchers_[i] == nullptr) continue;
    // Removed later: a watcher that is being called may unwatch itself and others.
    watchers_[i] = nullptr;
    polled_[i].fd = -1;
  }
}

void PollReactor::wait_until(Instant deadline) {
  drop_unwatched();
  const std::int64_t left = std::max<std::int64_t>(0, deadline.ns - SystemClock().now().ns);
  const timespec timeout{.tv_sec = left / 1'000'000'000, .tv_nsec = left % 1'000'000'000};
  // Early returns (signals) need no care: the turn looks at everything anyway.
  const int ready = ppoll(polled_.data(), polled_.size(),
                          deadline == instant_never ? nullptr : &timeout, nullptr);
  if (ready > 0) call_watchers();
}

void PollReactor::call_watchers() {
  // By index and only those that were polled: watchers may watch more, which adds to the end.
  const std::size_t count = polled_.size();
  for (std::size_t i = 0; i < count; ++i) {
    if (polled_[i].revents == 0 || watchers_[i] == nullptr) continue;
    polled_[i].revents = 0;
    watchers_[i]->on_readable();
  }
}

void PollReactor::drop_unwatched() {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < polled_.size(); ++i) {
    if (watchers_[i] == nullptr) continue;
    polled_[kept] = polled_[i];
    watchers_[kept] = watchers_[i];
    ++kept;
  }
  polled_.resize(kept);
  watchers_.resize(kept);
}

}  // namespace millrace
