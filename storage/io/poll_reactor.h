// Reactor over poll(2), for hosts where io_uring is refused; thread_disk wakes it through a
// descriptor it watches.
//
// Owner: the shard's thread; created, used and destroyed there.
#pragma once

#include "storage/io/reactor.h"

#include <poll.h>

#include <vector>

namespace millrace {

class PollReactor final : public Reactor {
 public:
  PollReactor() = default;
  PollReactor(const PollReactor&) = delete;
  PollReactor& operator=(const PollReactor&) = delete;

  Result<void> watch(int descriptor, Watcher& watcher) override;
  void unwatch(int descriptor) override;
  void wait_until(Instant deadline) override;

 private:
  void call_watchers();
  void drop_unwatched();

  // Two arrays in step, because poll(2) wants its own.
  std::vector<pollfd> polled_;
  std::vector<Watcher*> watchers_;  // null once unwatched
};

}  // namespace millrace
