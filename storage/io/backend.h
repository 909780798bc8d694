// Picks the reactor and the disk of a shard: io_uring, or poll(2) with helper threads where
// io_uring is refused.
//
// Thread: the shard's, as both halves of the result are. Side effect on the process: SIGXFSZ, whose
// default would kill it at a file size limit, is ignored from now on, so that the limit is an error
// of the write (ST-13).
#pragma once

#include "storage/base/result.h"
#include "storage/io/disk.h"
#include "storage/io/reactor.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace millrace {

enum class IoChoice {
  automatic,  // io_uring; threads, with one line of diag that says why, where it is refused
  io_uring,   // or an error
  threads,
};

// "auto", "io_uring", "threads", as in the configuration; empty for anything else.
std::optional<IoChoice> parse_io_choice(std::string_view text);

struct IoBackend {
  std::unique_ptr<Reactor> reactor;
  std::unique_ptr<Disk> disk;  // dies before its reactor
  std::string name;            // "io_uring" or "threads"
};

// `root` is an existing directory. `lock_descriptor` (or -1) is the data directory's lock: an
// io_uring backend holds it as long as it has I/O in flight, even past the death of the process.
Result<IoBackend> make_io_backend(IoChoice choice, const std::string& root, int lock_descriptor);

}  // namespace millrace
