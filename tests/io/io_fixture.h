// What the tests of both disks stand on: a backend on a temporary directory and blocking verbs over
// it.
#pragma once

#include "storage/base/random.h"
#include "storage/io/backend.h"
#include "storage/io/ring.h"
#include "storage/io/system_clock.h"
#include "tests/support/temp_dir.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::test {

// Containers often refuse io_uring; then only the threads can be tested.
inline bool ring_is_here() {
  static const bool here = Ring::create().has_value();
  return here;
}
// For tests of the ring alone. ctest takes the line for its reason to call a test skipped.
inline bool skipped_without_ring() {
  if (!ring_is_here()) std::puts("skipped: this host refuses io_uring");
  return !ring_is_here();
}
inline std::vector<IoChoice> backends_here() {
  if (!ring_is_here()) return {IoChoice::threads};
  return {IoChoice::io_uring, IoChoice::threads};
}

// Memory that O_DIRECT takes.
class AlignedBytes {
 public:
  explicit AlignedBytes(std::size_t size)
      : size_(size), data_(static_cast<std::byte*>(::operator new(size, std::align_val_t{4096}))) {}
  AlignedBytes(const AlignedBytes&) = delete;
  AlignedBytes& operator=(const AlignedBytes&) = delete;
  ~AlignedBytes() { ::operator delete(data_, std::align_val_t{4096}); }

  MutableBytes bytes() { return {data_, size_}; }
  ByteView view() const { return {data_, size_}; }
  void fill_random(std::uint64_t seed) {
    Random random(seed);
    for (std::size_t i = 0; i < size_; ++i) data_[i] = static_cast<std::byte>(random.next());
  }
  void fill(std::byte value) { std::fill_n(data_, size_, value); }

 private:
  std::size_t size_;
  std::byte* data_;
};

// One I/O of a test: remembers its result.
struct Waited {
  Waited() : completion(this, Completion::to<&Waited::on_done, Waited>()) {}
  void on_done(IoResult outcome) {
    is_done = true;
    result = std::move(outcome);
  }
  Completion completion;
  bool is_done = false;
  IoResult result = 0;
};

class IoFixture {
 public:
  explicit IoFixture(IoChoice choice, const std::string& path) {
    auto made = make_io_backend(choice, path, -1);
    if (!made) FAIL(made.error().text);
    backend = std::move(*made);
  }

  Disk& disk() { return *backend.disk; }
  Reactor& reactor() { return *backend.reactor; }

  void wait_for(const bool& condition) {
    const Instant give_up = SystemClock().now() + seconds(60);
    while (!condition) {
      // A lost completion would hang a test; this ends it.
      abort_if(SystemClock().now() > give_up);
      reactor().wait_until(give_up);
      disk().reap();
    }
  }

  // Starts an I/O with `start(Completion&)`, waits, answers its result.
  template <class Start>
  IoResult run(Start start) {
    Waited waited;
    start(waited.completion);
    wait_for(waited.is_done);
    return std::move(waited.result);
  }

  IoResult open(std::string_view path, OpenMode mode,
                Disk::Access access = Disk::Access::buffered) {
    return run([&](Completion& done) { disk().open(done, path, mode, access); });
  }
  FileId opened(std::string_view path, OpenMode mode,
                Disk::Access access = Disk::Access::buffered) {
    auto result = open(path, mode, access);
    if (!result) FAIL(result.error().text);
    return FileId{static_cast<std::int32_t>(*result)};
  }
  IoResult close(FileId file) {
    return run([&](Completion& done) { disk().close(done, file); });
  }
  IoResult write(FileId file, std::uint64_t at, ByteView bytes, WriteSync sync = WriteSync::no) {
    return run(
        [&](Completion& done) { disk().write(done, file, Position{at}, {&bytes, 1}, sync); });
  }
  IoResult read(FileId file, std::uint64_t at, MutableBytes into) {
    return run([&](Completion& done) { disk().read(done, file, Position{at}, into); });
  }
  IoResult size(FileId file) {
    return run([&](Completion& done) { disk().file_size(done, file); });
  }
  std::vector<std::string> names(std::string_view path) {
    std::vector<DirectoryEntry> entries;
    auto result = run([&](Completion& done) { disk().list(done, path, entries); });
    if (!result) FAIL(result.error().text);
    std::vector<std::string> out;
    for (const auto& entry : entries) out.push_back(entry.name);
    std::sort(out.begin(), out.end());
    return out;
  }

  IoBackend backend;

 private:
  static void abort_if(bool lost) {
    if (lost) throw std::runtime_error("an I/O of a test did not come back in 60 s");
  }
};

}  // namespace millrace::test
