// The io_uring of one shard: requests go in, results come out, and the shard's thread sleeps in it.
//
// Trip: the shard's loop calls wait_until once a turn; RingDisk stages its requests with prepare.
// Requests are only staged by prepare; one system call per turn submits all of them and waits
// (SINGLE_ISSUER and DEFER_TASKRUN where the kernel has them, so completions are worked off inside
// that call and never interrupt the shard). Owner: the shard's thread; created, used and destroyed
// there. Only ring.cc and ring_disk.cc include liburing.h. Always: there are fewer requests in
// flight than places in the completion queue, so it cannot overflow; a kernel that lost a
// completion all the same is a broken invariant. Fails: create, with a text that says how io_uring
// was refused; the caller then uses poll_reactor and thread_disk.
#pragma once

#include "storage/io/reactor.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

struct io_uring_sqe;

namespace millrace {

// Something in flight in the ring. Stays where it is until on_result was called, exactly once per
// prepare.
class RingRequest {
 public:
  // `result` as the kernel gave it: a count, or a negative errno. May prepare further requests.
  virtual void on_result(int result) = 0;

 protected:
  ~RingRequest() = default;
};

class Ring final : public Reactor {
 public:
  static Result<std::unique_ptr<Ring>> create();
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;
  // Nothing but watches may be in flight.
  ~Ring() override;

  // -- the seam. A watch tells of readability as poll(2) does: again and again until what is there
  // has been read.
  Result<void> watch(int descriptor, Watcher& watcher) override;
  void unwatch(int descriptor) override;
  void wait_until(Instant deadline) override;

  // Keeps `lock_descriptor` open in the kernel as long as any request of this ring is in flight,
  // even after the process was killed: the next broker gets the lock only when no write of the dead
  // one can land any more (ST-28).
  Result<void> register_lock(int lock_descriptor);

  // -- for the disk that lives on this ring.
  // A place for one request, to be filled by a prep helper of liburing at once; null when the ring
  // is as full as it may get, then ask again after a completion.
  io_uring_sqe* prepare(RingRequest& request);
  // Submits what is staged and takes what has completed, without sleeping.
  void submit_and_collect();
  // While somebody holds results that were not delivered yet, wait_until does not sleep.
  void add_undelivered(std::size_t count) { undelivered_ += count; }
  void remove_undelivered(std::size_t count) { undelivered_ -= count; }
  // Counts calls of wait_until; lets the disk see whether anybody entered the kernel since it last
  // looked.
  std::uint64_t waits() const { return waits_; }
  std::size_t in_flight() const { return requests_in_flight_; }

  // Which set-up the kernel accepted, for one line of diag.
  const std::string& description() const { return description_; }

 private:
  struct Kernel;  // hides liburing's struct
  class Watch;

  Ring();
  Result<void> check_operations();
  void limit_kernel_workers();
  io_uring_sqe* place();
  void arm(Watch& watch);
  void disarm(Watch& watch);
  void collect();
  void call_watchers();
  void drop_finished_watches();

  std::unique_ptr<Kernel> kernel_;
  std::string description_;
  std::vector<std::unique_ptr<Watch>> watches_;
  std::size_t requests_in_flight_ = 0;
  std::size_t requests_in_flight_max_ = 0;
  std::size_t undelivered_ = 0;
  std::uint64_t waits_ = 0;
};

}  // namespace millrace
