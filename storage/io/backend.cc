#include "storage/io/backend.h"

#include "storage/base/diag.h"
#include "storage/io/poll_reactor.h"
#include "storage/io/ring.h"
#include "storage/io/ring_disk.h"
#include "storage/io/thread_disk.h"

#include <signal.h>

namespace millrace {
namespace {

void ignore_file_size_signal() {
  struct sigaction current{};
  if (sigaction(SIGXFSZ, nullptr, &current) == 0 && current.sa_handler == SIG_DFL)
    signal(SIGXFSZ, SIG_IGN);
}

Result<IoBackend> make_threads(const std::string& root) {
  IoBackend backend;
  backend.name = "threads";
  backend.reactor = std::make_unique<PollReactor>();
  auto disk = ThreadDisk::create(*backend.reactor, root);
  if (!disk) return fail(disk.error());
  backend.disk = std::move(*disk);
  return backend;
}

Result<IoBackend> make_io_uring(std::unique_ptr<Ring> ring, const std::string& root,
                                int lock_descriptor) {
  if (lock_descriptor >= 0) {
    if (auto held = ring->register_lock(lock_descriptor); !held) return fail(held.error());
  }
  diag::debug("disk", "{} for {}", ring->description(), root);
  auto disk = RingDisk::create(*ring, root);
  if (!disk) return fail(disk.error());
  return IoBackend{.reactor = std::move(ring), .disk = std::move(*disk), .name = "io_uring"};
}

}  // namespace

std::optional<IoChoice> parse_io_choice(std::string_view text) {
  if (text == "auto") return IoChoice::automatic;
  if (text == "io_uring") return IoChoice::io_uring;
  if (text == "threads") return IoChoice::threads;
  return std::nullopt;
}

Result<IoBackend> make_io_backend(IoChoice choice, const std::string& root, int lock_descriptor) {
  ignore_file_size_signal();
  if (choice == IoChoice::threads) return make_threads(root);
  auto ring = Ring::create();
  if (ring) return make_io_uring(std::move(*ring), root, lock_descriptor);
  if (choice == IoChoice::io_uring) {
    return fail(ring.error().code, ring.error().text +
                                       "; set data.io to auto or threads to do "
                                       "without it");
  }
  diag::warn("disk",
             "{}; using plain calls in threads, which is slower (say so in the configuration to "
             "silence this)",
             ring.error().text);
  return make_threads(root);
}

}  // namespace millrace
