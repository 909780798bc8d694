#include "storage/io/ring.h"

#include "storage/base/check.h"
#include "storage/io/errno_map.h"
#include "storage/io/system_clock.h"

#include <fmt/core.h>
#include <liburing.h>
#include <poll.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>

namespace millrace {
namespace {

constexpr unsigned submission_entries = 1024;
constexpr unsigned completion_entries = 4096;
// Places of the completion queue that only watches and their cancellations use.
constexpr std::size_t reserved_completions = 1024;
// Kernel workers for calls that cannot be made without blocking: of regular files, and of
// everything else.
constexpr unsigned file_workers_max = 16;
constexpr unsigned other_workers_max = 4;

struct SetUp {
  unsigned flags;
  const char* name;
};
// Best first; a kernel that does not know a flag answers EINVAL and the next one is tried. Never
// decided by version.
constexpr std::array<SetUp, 3> set_ups{{
    {IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
     "single issuer, deferred completions"},
    {IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG, "cooperative completions"},
    {0, "plain"},
}};

constexpr std::array needed_operations{
    IORING_OP_READ,    IORING_OP_WRITEV,   IORING_OP_FSYNC,       IORING_OP_FALLOCATE,
    IORING_OP_OPENAT2, IORING_OP_CLOSE,    IORING_OP_RENAMEAT,    IORING_OP_UNLINKAT,
    IORING_OP_MKDIRAT, IORING_OP_POLL_ADD, IORING_OP_POLL_REMOVE,
};

int sysctl_io_uring_disabled() {
  int value = 0;
  if (std::FILE* file = std::fopen("/proc/sys/kernel/io_uring_disabled", "re")) {
    if (std::fscanf(file, "%d", &value) != 1) value = 0;
    std::fclose(file);
  }
  return value;
}

Error refusal(int error) {
  std::string why;
  if (error == ENOSYS) {
    why = "the kernel was built without it";
  } else if ((error == EPERM || error == EACCES) && sysctl_io_uring_disabled() != 0) {
    why = fmt::format("the sysctl kernel.io_uring_disabled is {}", sysctl_io_uring_disabled());
  } else if (error == EPERM || error == EACCES) {
    why =
        "not permitted here; in a container, the seccomp profile must allow io_uring_setup, "
        "io_uring_enter and "
        "io_uring_register";
  } else if (error == ENOMEM) {
    why = "no memory for the ring; raise the locked-memory limit (ulimit -l, LimitMEMLOCK=)";
  } else {
    return error_from_errno(error, "io_uring_setup", "ring");
  }
  return Error{Errc::storage_error, "io_uring is refused: " + why};
}

__kernel_timespec time_until(Instant deadline) {
  const std::int64_t left = std::max<std::int64_t>(0, deadline.ns - SystemClock().now().ns);
  return {.tv_sec = left / 1'000'000'000, .tv_nsec = left % 1'000'000'000};
}

}  // namespace

struct Ring::Kernel {
  io_uring ring{};
  bool is_set_up = false;
  ~Kernel() {
    if (is_set_up) io_uring_queue_exit(&ring);
  }
};

// One poll at a time per descriptor: armed, reported once, armed again after the watcher has run.
// (A multishot poll would report only new arrivals, and a watcher that reads a part with a budget
// would sleep on the rest.)
class Ring::Watch final : public RingRequest {
 public:
  Watch(int descriptor, Watcher& watcher) : descriptor_(descriptor), watcher_(&watcher) {}

  void on_result(int result) override {
    armed_ = false;
    readable_ = result != -ECANCELED;
  }

  const int descriptor_;
  Watcher* watcher_;  // null once unwatched
  bool armed_ = false;
  bool readable_ = false;
};

Ring::Ring() : kernel_(std::make_unique<Kernel>()) {}

Result<std::unique_ptr<Ring>> Ring::create() {
  std::unique_ptr<Ring> ring(new Ring);
  int result = -EINVAL;
  for (const SetUp& set_up : set_ups) {
    io_uring_params params{};
    params.flags = set_up.flags | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
    params.cq_entries = completion_entries;
    result = io_uring_queue_init_params(submission_entries, &ring->kernel_->ring, &params);
    if (result == 0) {
      ring->kernel_->is_set_up = true;
      ring->description_ = fmt::format("io_uring ({})", set_up.name);
      ring->requests_in_flight_max_ =
          params.cq_entries - std::min<std::size_t>(reserved_completions, params.cq_entries / 2);
      break;
    }
    if (result != -EINVAL) break;
  }
  if (result != 0) return fail(refusal(-result));
  if (auto usable = ring->check_operations(); !usable) return fail(usable.error());
  ring->limit_kernel_workers();
  return ring;
}

Result<void> Ring::check_operations() {
  io_uring_probe* probe = io_uring_get_probe_ring(&kernel_->ring);
  if (probe == nullptr)
    return fail(Errc::storage_error, "io_uring is too old here: it cannot tell what it can do");
  const bool has_all = std::all_of(needed_operations.begin(), needed_operations.end(), [&](int op) {
    return io_uring_opcode_supported(probe, op) != 0;
  });
  io_uring_free_probe(probe);
  // Waiting with a deadline must not cost a request of its own.
  const bool has_wait = (kernel_->ring.features & IORING_FEAT_EXT_ARG) != 0;
  if (!has_all || !has_wait) {
    return fail(Errc::storage_error,
                "io_uring is too old here: it lacks operations that Linux 5.15 has");
  }
  return {};
}

void Ring::limit_kernel_workers() {
  unsigned limits[2] = {file_workers_max, other_workers_max};
  // Advice to the kernel; a ring without it works, only with more threads under load.
  (void)io_uring_register_iowq_max_workers(&kernel_->ring, limits);
  (void)io_uring_register_ring_fd(&kernel_->ring);
}

Ring::~Ring() {
  for (auto& watch : watches_) {
    watch->watcher_ = nullptr;
    if (watch->armed_) disarm(*watch);
  }
  // The kernel lets go of the watched descriptors before their owner may close them.
  const Instant give_up = SystemClock().now() + seconds(1);
  while (!watches_.empty() && SystemClock().now() < give_up) {
    drop_finished_watches();
    if (!watches_.empty()) submit_and_collect();
  }
  CHECK(requests_in_flight_ == 0, "a ring died with requests in flight");
}

Result<void> Ring::register_lock(int lock_descriptor) {
  const int result = io_uring_register_files(&kernel_->ring, &lock_descriptor, 1);
  if (result < 0)
    return fail(error_from_errno(-result, "io_uring_register_files", "the data directory's lock"));
  return {};
}

io_uring_sqe* Ring::place() {
  io_uring_sqe* sqe = io_uring_get_sqe(&kernel_->ring);
  // The submission queue is full: the kernel takes it over, which needs no sleep.
  for (int tries = 0; sqe == nullptr && tries < transient_retries_max; ++tries) {
    (void)io_uring_submit(&kernel_->ring);
    sqe = io_uring_get_sqe(&kernel_->ring);
  }
  CHECK(sqe != nullptr, "the kernel takes what was submitted");
  return sqe;
}

io_uring_sqe* Ring::prepare(RingRequest& request) {
  if (requests_in_flight_ >= requests_in_flight_max_) return nullptr;
  ++requests_in_flight_;
  io_uring_sqe* sqe = place();
  // Prep helpers of liburing 2.3 leave user_data alone, so it can be set before they run.
  io_uring_sqe_set_data(sqe, &request);
  return sqe;
}

void Ring::arm(Watch& watch) {
  io_uring_sqe* sqe = place();
  io_uring_prep_poll_add(sqe, watch.descriptor_, POLLIN);
  io_uring_sqe_set_data(sqe, static_cast<RingRequest*>(&watch));
  watch.armed_ = true;
  ++requests_in_flight_;
}

void Ring::disarm(Watch& watch) {
  io_uring_sqe* sqe = place();
  io_uring_prep_poll_remove(sqe,
                            reinterpret_cast<std::uintptr_t>(static_cast<RingRequest*>(&watch)));
  io_uring_sqe_set_data(sqe, nullptr);
}

Result<void> Ring::watch(int descriptor, Watcher& watcher) {
  if (watches_.size() >= reserved_completions / 4) {
    return fail(Errc::overloaded,
                fmt::format("a ring watches at most {} descriptors", reserved_completions / 4));
  }
  for (const auto& other : watches_) {
    CHECK(other->watcher_ == nullptr || other->descriptor_ != descriptor,
          "a descriptor has one watcher");
  }
  watches_.push_back(std::make_unique<Watch>(descriptor, watcher));
  arm(*watches_.back());
  return {};
}

void Ring::unwatch(int descriptor) {
  for (auto& watch : watches_) {
    if (watch->descriptor_ != descriptor || watch->watcher_ == nullptr) continue;
    watch->watcher_ = nullptr;
    if (!watch->armed_) return;
    // At once, so that the caller may close the descriptor and its peer notices.
    // With deferred completions the kernel lets go of it only when it is entered for events.
    disarm(*watch);
    (void)io_uring_submit_and_get_events(&kernel_->ring);
    return;
  }
}

void Ring::wait_until(Instant deadline) {
  ++waits_;
  drop_finished_watches();
  if (undelivered_ > 0 || deadline <= SystemClock().now()) {
    submit_and_collect();
  } else {
    __kernel_timespec timeout = time_until(deadline);
    io_uring_cqe* first = nullptr;
    // Early returns (signals, timeouts) need no care: the turn looks at everything anyway.
    (void)io_uring_submit_and_wait_timeout(&kernel_->ring, &first, 1,
                                           deadline == instant_never ? nullptr : &timeout, nullptr);
    collect();
  }
  call_watchers();
}

void Ring::submit_and_collect() {
  (void)io_uring_submit_and_get_events(&kernel_->ring);
  collect();
}

void Ring::collect() {
  io_uring_cqe* cqe = nullptr;
  while (io_uring_peek_cqe(&kernel_->ring, &cqe) == 0 && cqe != nullptr) {
    auto* request = static_cast<RingRequest*>(io_uring_cqe_get_data(cqe));
    const int result = cqe->res;
    io_uring_cqe_seen(&kernel_->ring, cqe);
    if (request == nullptr)
      continue;  // the answer to a cancellation; the cancelled request answers itself
    --requests_in_flight_;
    request->on_result(result);
  }
  CHECK(*kernel_->ring.cq.koverflow == 0, "the kernel lost a completion");
}

void Ring::call_watchers() {
  // By index: a watcher may watch and unwatch others, which adds to the end and leaves the rest in
  // place.
  for (std::size_t i = 0; i < watches_.size(); ++i) {
    Watch& watch = *watches_[i];
    if (watch.armed_ || watch.watcher_ == nullptr) continue;
    if (watch.readable_) {
      watch.readable_ = false;
      watch.watcher_->on_readable();
    }
    if (watch.watcher_ != nullptr) arm(watch);
  }
}

void Ring::drop_finished_watches() {
  std::erase_if(watches_,
                [](const auto& watch) { return watch->watcher_ == nullptr && !watch->armed_; });
}

}  // namespace millrace
