// What is special about the ring and its disk.
#include "storage/io/ring.h"

#include "storage/base/units.h"
#include "storage/io/ring_disk.h"
#include "tests/io/io_fixture.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <fstream>

using namespace millrace;
using namespace millrace::test;

namespace {

struct RingFixture {
  explicit RingFixture(const std::string& path) {
    auto made = Ring::create();
    if (!made) FAIL(made.error().text);
    ring = std::move(*made);
    auto opened = RingDisk::create(*ring, path);
    if (!opened) FAIL(opened.error().text);
    disk = std::move(*opened);
  }
  void wait_for(const bool& condition) {
    while (!condition) {
      ring->wait_until(instant_never);
      disk->reap();
    }
  }
  std::unique_ptr<Ring> ring;
  std::unique_ptr<RingDisk> disk;
};

// Makes the kernel answer `error` to io_uring_setup in this process, for good.
bool refuse_io_uring(int error) {
  std::array<sock_filter, 4> filter{{
      {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
      {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, SYS_io_uring_setup},
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | static_cast<unsigned>(error)},
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
  }};
  const sock_fprog program{.len = filter.size(), .filter = filter.data()};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

// Runs `body` in a child process whose standard error goes to `errors`; answers its exit code.
template <class Body>
int in_child(const std::string& errors, Body body) {
  const pid_t child = fork();
  if (child == 0) {
    const int file = open(errors.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    dup2(file, STDERR_FILENO);
    _exit(body());
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  return WEXITSTATUS(status);
}

std::string content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

TEST_CASE("a synced write is one request, submitted by the wait") {
  if (skipped_without_ring()) return;
  const TempDir directory;
  RingFixture io(directory.path());
  Waited opened, written, closed;
  io.disk->open(opened.completion, "data", OpenMode::create, Disk::Access::direct);
  io.wait_for(opened.is_done);
  REQUIRE(opened.result.has_value());
  const FileId file{static_cast<std::int32_t>(*opened.result)};
  AlignedBytes bytes(64 * KiB);
  bytes.fill(std::byte{1});
  const ByteView slice = bytes.view();
  io.disk->write(written.completion, file, Position{0}, {&slice, 1}, WriteSync::yes);
  CHECK(io.ring->in_flight() == 1);
  io.ring->wait_until(instant_never);  // ends with the first completion
  CHECK(io.ring->in_flight() == 0);
  io.disk->reap();
  CHECK(written.is_done);
  CHECK(written.result == 64 * KiB);
  io.disk->close(closed.completion, file);
  io.wait_for(closed.is_done);
}

TEST_CASE("U-12 where io_uring is refused, threads take over with one line that says why") {
  const int error = GENERATE(ENOSYS, EPERM);
  const TempDir directory;
  const int code = in_child(directory / "errors", [&] {
    if (!refuse_io_uring(error)) return 10;
    auto backend = make_io_backend(IoChoice::automatic, directory.path(), -1);
    if (!backend || backend->name != "threads") return 11;
    Waited opened;
    backend->disk->open(opened.completion, "data", OpenMode::create, Disk::Access::direct);
    while (!opened.is_done) {
      backend->reactor->wait_until(instant_never);
      backend->disk->reap();
    }
    if (!opened.result) return 12;
    auto forced = make_io_backend(IoChoice::io_uring, directory.path(), -1);
    return forced || forced.error().text.find("io_uring is refused") == std::string::npos ? 13 : 0;
  });
  CHECK(code == 0);
  const std::string errors = content_of(directory / "errors");
  INFO(errors);
  CHECK(std::count(errors.begin(), errors.end(), '\n') == 1);
  CHECK(errors.find("io_uring is refused") != std::string::npos);
}

TEST_CASE("ST-28 a killed process keeps its lock until its last write has ended") {
  if (skipped_without_ring()) return;
  const TempDir directory;
  for (int round = 0; round < 5; ++round) {
    std::array<int, 2> ends{};
    REQUIRE(pipe(ends.data()) == 0);
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      const int lock = open((directory / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
      if (flock(lock, LOCK_EX) != 0) _exit(1);
      auto backend = make_io_backend(IoChoice::io_uring, directory.path(), lock);
      if (!backend) _exit(2);
      Waited opened;
      backend->disk->open(opened.completion, "data" + std::to_string(round), OpenMode::create,
                          Disk::Access::direct);
      while (!opened.is_done) {
        backend->reactor->wait_until(instant_never);
        backend->disk->reap();
      }
      if (!opened.result) _exit(3);
      // Writes without end: each block holds its number, so what lands after the death can be seen.
      AlignedBytes bytes(4096);
      const FileId file{static_cast<std::int32_t>(*opened.result)};
      for (std::uint64_t number = 1;; ++number) {
        if (number == 20 && write(ends[1], "x", 1) != 1) _exit(4);
        store_le(bytes.bytes().data(), number);
        const ByteView slice = bytes.view();
        Waited written;
        backend->disk->write(written.completion, file, Position{(number - 1) * 4096}, {&slice, 1},
                             WriteSync::yes);
        while (!written.is_done) {
          backend->reactor->wait_until(instant_never);
          backend->disk->reap();
        }
      }
    }
    close(ends[1]);  // else a child that failed would be waited for
    char ready = 0;
    REQUIRE(read(ends[0], &ready, 1) == 1);
    REQUIRE(kill(child, SIGKILL) == 0);
    REQUIRE(waitpid(child, nullptr, 0) == child);
    const int lock = open((directory / "lock").c_str(), O_RDWR | O_CLOEXEC);
    REQUIRE(flock(lock, LOCK_EX) == 0);  // waits for the last I/O
    const std::string name = directory / ("data" + std::to_string(round));
    const std::string at_lock = content_of(name);
    CHECK(at_lock.size() >= 19 * 4096);
    close(lock);
    CHECK(content_of(name) == at_lock);
    close(ends[0]);
  }
}

TEST_CASE("a watched descriptor may be closed right after the watch ended") {
  if (skipped_without_ring()) return;
  auto made = Ring::create();
  REQUIRE(made.has_value());
  Ring& ring = **made;
  struct Nobody : Watcher {
    void on_readable() override { FAIL("nothing was ever readable"); }
  } nobody;
  signal(SIGPIPE, SIG_IGN);
  for (int round = 0; round < 2000; ++round) {
    std::array<int, 2> ends{};
    REQUIRE(pipe2(ends.data(), O_CLOEXEC) == 0);
    REQUIRE(ring.watch(ends[0], nobody).has_value());
    if (round % 2 == 0) ring.wait_until(Instant{0});
    ring.unwatch(ends[0]);
    close(ends[0]);
    // The reading end is gone in the kernel too, so the writing end has nobody to write to.
    if (round % 2 == 0) {
      CHECK((write(ends[1], "x", 1) < 0 && errno == EPIPE));
    }
    close(ends[1]);
    ring.wait_until(Instant{0});
  }
  CHECK(ring.in_flight() == 0);
}
