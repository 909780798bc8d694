// Fetches that wait until enough new bytes of their partition are durable.
//
// Owner: Partition. Thread: the shard's. Parked by a count of bytes, not by offset: a fetch that
// has 300 of its 1,000 bytes is not looked at again before 700 more are durable.
#pragma once

#include <cstdint>
#include <map>

namespace millrace {

class FetchWaiters;

class ParkedFetch {
 public:
  ParkedFetch() = default;
  ParkedFetch(const ParkedFetch&) = delete;
  ParkedFetch& operator=(const ParkedFetch&) = delete;
  // What it waited for is there; it is parked no longer.
  virtual void on_data() = 0;
  bool parked() const { return waiters_ != nullptr; }
  void leave();

 protected:
  ~ParkedFetch() { leave(); }

 private:
  friend class FetchWaiters;
  FetchWaiters* waiters_ = nullptr;
  std::multimap<std::uint64_t, ParkedFetch*>::iterator place_;
};

class FetchWaiters {
 public:
  // Until `missing` more bytes have become durable.
  void park(ParkedFetch& fetch, std::uint64_t missing);
  // `bytes` became durable.
  void release(std::uint64_t bytes);
  bool empty() const { return by_bytes_.empty(); }

 private:
  friend class ParkedFetch;
  std::uint64_t durable_bytes_ = 0;  // since this partition was opened
  std::multimap<std::uint64_t, ParkedFetch*> by_bytes_;
};

}  // namespace millrace
