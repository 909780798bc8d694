#include "tests/torture/write_cache.h"

#include "tests/support/temp_dir.h"

#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>
#include <set>

namespace millrace::torture {
namespace {

struct Disk {
  explicit Disk(std::uint64_t bytes = 4'096) : path(dir / "image") {
    std::ofstream(path) << std::string(bytes, '.');
    cache = std::make_unique<WriteCache>(path);
  }
  void write(std::uint64_t position, char c, std::size_t bytes = WriteCache::sector_bytes) {
    cache->write(position, std::string(bytes, c));
  }
  // One character a sector, as readers see it now.
  std::string seen() const {
    std::string bytes(cache->size(), '?'), out;
    cache->read(0, bytes);
    for (std::size_t i = 0; i < bytes.size(); i += WriteCache::sector_bytes) out += bytes[i];
    return out;
  }
  // The same after the power was lost.
  std::string after_cut(Keep keep, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    cache->settle(keep, random);
    cache = std::make_unique<WriteCache>(path);
    return seen();
  }

  test::TempDir dir;
  std::string path;
  std::unique_ptr<WriteCache> cache;
};

TEST_CASE("what was flushed is there after a cut, whatever is kept of the rest") {
  for (const Keep keep : {Keep::nothing, Keep::prefix, Keep::torn, Keep::writes, Keep::sectors}) {
    Disk disk;
    disk.write(0, 'a', 1'024);
    disk.cache->flush();
    CHECK(disk.cache->pending_sectors() == 0);
    disk.write(2'048, 'b');
    CHECK(disk.seen() == "aa..b...");
    const std::string left = disk.after_cut(keep, 5);
    CHECK((left == "aa......" || left == "aa..b..."));
  }
}

TEST_CASE("a cut that keeps nothing, or everything") {
  Disk nothing, everything;
  for (Disk* disk : {&nothing, &everything}) {
    disk->write(0, 'a');
    disk->write(0, 'b');
    disk->write(512, 'c');
  }
  CHECK(nothing.after_cut(Keep::nothing, 1) == "........");
  CHECK(everything.after_cut(Keep::everything, 1) == "bc......");
}

TEST_CASE("of unflushed sectors each subset and each version is found after some cut") {
  std::set<std::string> left;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Disk disk(1'024);
    disk.write(0, 'a');
    disk.write(0, 'b');
    disk.write(512, 'c');
    left.insert(disk.after_cut(Keep::sectors, seed));
  }
  CHECK(left == std::set<std::string>{"..", ".c", "a.", "ac", "b.", "bc"});
}

TEST_CASE("a prefix keeps writes in their order, and a torn one splits the write at its end") {
  std::set<std::string> prefixes, torn;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    for (const Keep keep : {Keep::prefix, Keep::torn}) {
      Disk disk(1'536);
      disk.write(0, 'a');
      disk.write(512, 'b', 1'024);
      disk.write(0, 'c');
      (keep == Keep::prefix ? prefixes : torn).insert(disk.after_cut(keep, seed));
    }
  }
  CHECK(prefixes == std::set<std::string>{"...", "a..", "abb"});
  CHECK(torn == std::set<std::string>{"...", "a..", "ab.", "a.b", "abb", "cbb"});
}

TEST_CASE("writes of parts of sectors are seen whole") {
  Disk disk(1'024);
  disk.write(510, 'x', 4);
  std::string bytes(6, '?');
  disk.cache->read(509, bytes);
  CHECK(bytes == ".xxxx.");
  CHECK(disk.cache->pending_sectors() == 2);
}

}  // namespace
}  // namespace millrace::torture
