// Opens or closes many partitions, a bounded number at a time.
//
// Owner: Topics. Thread: the shard's.
#pragma once

#include "broker/partition.h"

#include <deque>
#include <functional>

namespace millrace {

class PartitionQueue {
 public:
  static constexpr std::size_t at_once = 64;
  // Starts the work on one partition; `done` may be called before it returns.
  using Work = std::function<void(Partition&, Partition::Done done)>;
  using AllDone = std::function<void()>;

  // Calls `all_done` when `work` is done for all, whatever came of each; from a later turn unless
  // all were done at once. A partition's own result is kept by the partition.
  void add(std::vector<Partition*> partitions, Work work, AllDone all_done);

 private:
  struct Job {
    Work work;
    AllDone all_done;
    std::size_t left = 0;
  };
  struct Item {
    Partition* partition;
    std::shared_ptr<Job> job;  // shared by the items of one call
  };

  void go_on();
  void on_done(const std::shared_ptr<Job>& job);

  std::deque<Item> waiting_;
  std::size_t running_ = 0;
  bool going_on_ = false;
};

}  // namespace millrace
