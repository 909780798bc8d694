// The arithmetic of continuing a write, compared with a naive twin.
#include "storage/base/random.h"
#include "storage/io/disk_files.h"

#include <catch2/catch.hpp>

#include <cstring>
#include <string>

using namespace millrace;

namespace {

// What a system would have stored: `text` grows by what each call "wrote".
struct FakeFile {
  std::string bytes;
  void write(const WriteProgress& progress, std::size_t count) {
    std::size_t at = progress.position();
    for (const iovec& slice : progress.remaining()) {
      for (std::size_t i = 0; i < slice.iov_len && count > 0; ++i, --count, ++at) {
        if (bytes.size() <= at) bytes.resize(at + 1);
        bytes[at] = static_cast<const char*>(slice.iov_base)[i];
      }
    }
  }
};

std::size_t remaining_bytes(const WriteProgress& progress) {
  std::size_t sum = 0;
  for (const iovec& slice : progress.remaining()) sum += slice.iov_len;
  return sum;
}

}  // namespace

TEST_CASE("ST-18 a short write is continued until all bytes are there") {
  const std::uint64_t seed = static_cast<std::uint64_t>(GENERATE(range(1, 200)));
  INFO("seed " << seed);
  Random random(seed);
  std::string expected;
  std::vector<std::string> parts(1 + random.below(6));
  for (auto& part : parts) {
    part.resize(random.below(50));
    for (char& c : part) c = static_cast<char>('a' + random.below(26));
    expected += part;
  }
  std::vector<ByteView> slices;
  for (const auto& part : parts) slices.push_back(as_bytes(part));
  WriteProgress progress;
  progress.start(Position{0}, slices, false);
  CHECK(progress.total() == expected.size());
  FakeFile file;
  int calls = 0;
  while (!progress.is_complete()) {
    const std::size_t count = random.below(remaining_bytes(progress) + 1);
    file.write(progress, count);
    CHECK(progress.advance(count) == (count > 0));
    ++calls;
  }
  CHECK(file.bytes == expected);
  CHECK(progress.was_continued() == (calls > 1));
}

TEST_CASE("ST-18 a direct write that ends inside a block goes back to the block's start") {
  const std::string bytes(3 * 4096, 'x');
  const ByteView slice = as_bytes(bytes);
  WriteProgress progress;
  progress.start(Position{8192}, {&slice, 1}, true);
  CHECK(progress.advance(5000));
  CHECK(progress.position() == 8192 + 4096);
  CHECK(remaining_bytes(progress) == 2 * 4096);
  CHECK_FALSE(progress.advance(512));
  CHECK(progress.position() == 8192 + 4096);
  CHECK(progress.advance(8192));
  CHECK(progress.is_complete());
  CHECK(progress.was_continued());
}

TEST_CASE("a write of nothing is complete at once") {
  WriteProgress progress;
  progress.start(Position{0}, {}, false);
  CHECK(progress.is_complete());
  CHECK(progress.total() == 0);
}

TEST_CASE("paths that are no names below the root are refused") {
  for (const char* good : {".", "a", "a/b", "topics/0a/0/00.segment", "..a", "a..b"}) {
    INFO(good);
    CHECK(check_relative_path(good).has_value());
  }
  for (const std::string& bad :
       {std::string(), std::string("/a"), std::string(".."), std::string("a/.."),
        std::string("a/../b"), std::string("./a"), std::string("a//b"), std::string("a/"),
        std::string("a\0b", 3), std::string(256, 'n'), std::string(5000, 'n')}) {
    INFO(bad);
    CHECK_FALSE(check_relative_path(bad).has_value());
  }
}
