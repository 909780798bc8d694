#include "broker/fetch/fetch_waiters.h"

#include "storage/base/check.h"

namespace millrace {

void ParkedFetch::leave() {
  if (waiters_ == nullptr) return;
  waiters_->by_bytes_.erase(place_);
  waiters_ = nullptr;
}

void FetchWaiters::park(ParkedFetch& fetch, std::uint64_t missing) {
  CHECK(!fetch.parked(), "a fetch is parked once");
  fetch.place_ = by_bytes_.emplace(durable_bytes_ + missing, &fetch);
  fetch.waiters_ = this;
}

void FetchWaiters::release(std::uint64_t bytes) {
  durable_bytes_ += bytes;
  // One that parks itself again does so for more bytes than there are now.
  while (!by_bytes_.empty() && by_bytes_.begin()->first <= durable_bytes_) {
    ParkedFetch& fetch = *by_bytes_.begin()->second;
    fetch.leave();
    fetch.on_data();
  }
}

}  // namespace millrace
