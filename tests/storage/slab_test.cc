#include "storage/slab.h"

#include "storage/base/random.h"
#include "storage/base/units.h"

#include <catch2/catch.hpp>

#include <cstring>
#include <memory>
#include <thread>
#include <vector>

using namespace millrace;

TEST_CASE("a block is as large as asked, rounded to pages, and aligned for the disk") {
  SlabPool pool(1 * MiB);
  for (const std::size_t asked : {0u, 1u, 4096u, 4097u, 65536u}) {
    const Buffer buffer = pool.take(asked);
    CHECK(buffer.size() >= asked);
    CHECK(buffer.size() % 4096 == 0);
    CHECK(buffer.size() < asked + 2 * 4096);
    CHECK(reinterpret_cast<std::uintptr_t>(buffer.bytes().data()) % 4096 == 0);
  }
}

TEST_CASE("a dropped block is used again, a held one is not") {
  SlabPool pool(1 * MiB);
  Buffer held = pool.take(64 * KiB);
  Buffer dropped = pool.take(64 * KiB);
  const std::byte* place = dropped.bytes().data();
  dropped = {};
  const Buffer next = pool.take(64 * KiB);
  CHECK(next.bytes().data() == place);
  CHECK(next.bytes().data() != held.bytes().data());
}

TEST_CASE("a slice keeps its bytes when every other owner is gone") {
  SlabPool pool(1 * MiB);
  Buffer whole = pool.take(8192);
  std::memcpy(whole.slab()->data() + 5000, "kept", 4);
  Buffer part = whole.slice(5000, 4);
  Buffer copy = part;
  Buffer moved = std::move(part);
  whole = {};
  copy = {};
  CHECK(pool.used_bytes() == 8192);
  CHECK(as_text(moved.bytes()) == "kept");
  const Buffer other = pool.take(8192);
  CHECK(other.bytes().data() != moved.bytes().data() - 5000);
  moved = {};
  CHECK(pool.used_bytes() == 8192);
}

TEST_CASE("the pool keeps no more idle memory than it may") {
  SlabPool pool(128 * KiB);
  std::vector<Buffer> held;
  for (int i = 0; i < 10; ++i) held.push_back(pool.take(64 * KiB));
  CHECK(pool.used_bytes() == 640 * KiB);
  CHECK(pool.idle_bytes() == 0);
  held.clear();
  CHECK(pool.used_bytes() == 0);
  CHECK(pool.idle_bytes() == 128 * KiB);
}

TEST_CASE("a pool that may keep nothing still hands out blocks") {
  SlabPool pool(0);
  for (int i = 0; i < 100; ++i) REQUIRE_FALSE(pool.take(4096).empty());
  CHECK(pool.idle_bytes() == 0);
  CHECK(pool.used_bytes() == 0);
}

TEST_CASE("blocks may outlive their pool") {
  auto pool = std::make_unique<SlabPool>(1 * MiB);
  Buffer kept = pool->take(4096);
  Buffer also = kept.slice(0, 10);
  std::memcpy(kept.slab()->data(), "0123456789", 10);
  pool.reset();
  kept = {};
  CHECK(as_text(also.bytes()) == "0123456789");
}

TEST_CASE("buffers may be copied and dropped on other threads") {
  auto pool = std::make_unique<SlabPool>(256 * KiB);
  constexpr int thread_count = 4;
  for (int round = 0; round < 50; ++round) {
    std::vector<std::vector<Buffer>> shares(thread_count);
    for (int block = 0; block < 8; ++block) {
      const Buffer whole = pool->take(4096);
      std::memset(whole.slab()->data(), block, 4096);
      for (auto& share : shares) {
        for (std::size_t part = 0; part < 8; ++part) share.push_back(whole.slice(part * 512, 512));
      }
    }
    std::vector<std::thread> threads;
    std::vector<int> wrong(thread_count);
    for (std::size_t t = 0; t < thread_count; ++t) {
      threads.emplace_back([&, t] {
        for (std::size_t i = 0; i < shares[t].size(); ++i) {
          Buffer copy = shares[t][i];
          shares[t][i] = {};
          for (const std::byte b : copy.bytes()) wrong[t] += b != static_cast<std::byte>(i / 8);
        }
      });
    }
    for (auto& thread : threads) thread.join();
    REQUIRE(wrong == std::vector<int>(thread_count));
    REQUIRE(pool->used_bytes() == 0);
  }
  // The last owner of all may be another thread, after the pool.
  Buffer last = pool->take(4096);
  pool.reset();
  std::thread([moved = std::move(last)] {}).join();
}

TEST_CASE("a buffer of nothing is empty and harmless") {
  Buffer none;
  const Buffer copy = none;
  none = copy;
  CHECK(none.empty());
  CHECK(none.slab() == nullptr);
  CHECK(none.slice(0, 0).empty());
}
