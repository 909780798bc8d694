#include "broker/partition_queue.h"

namespace millrace {

void PartitionQueue::add(std::vector<Partition*> partitions, Work work, AllDone all_done) {
  if (partitions.empty()) return all_done();
  auto job = std::make_shared<Job>();
  job->work = std::move(work);
  job->all_done = std::move(all_done);
  job->left = partitions.size();
  for (Partition* partition : partitions) waiting_.push_back({partition, job});
  go_on();
}

void PartitionQueue::go_on() {
  // Work that ends at once comes back here: the loop goes on, without deeper calls.
  if (going_on_) return;
  going_on_ = true;
  while (!waiting_.empty() && running_ < at_once) {
    const Item item = std::move(waiting_.front());
    waiting_.pop_front();
    ++running_;
    item.job->work(*item.partition, [this, job = item.job](const Result<void>&) { on_done(job); });
  }
  going_on_ = false;
}

void PartitionQueue::on_done(const std::shared_ptr<Job>& job) {
  --running_;
  const bool last = --job->left == 0;
  go_on();
  if (last) job->all_done();
}

}  // namespace millrace
