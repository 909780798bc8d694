#include "client/cli/line_reader.h"

#include "storage/base/random.h"

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <thread>
#include <vector>

namespace millrace::cli {
namespace {

class MemoryFile {
 public:
  explicit MemoryFile(std::string_view text) : descriptor_(::memfd_create("lines", MFD_CLOEXEC)) {
    REQUIRE(::write(descriptor_, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
    ::lseek(descriptor_, 0, SEEK_SET);
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile() { ::close(descriptor_); }
  int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
};

using Lines = std::vector<std::string>;

Lines read_all(int descriptor, std::size_t block_bytes) {
  LineReader reader(descriptor, 1 << 20, block_bytes);
  Lines lines;
  while (const auto line = reader.next()) lines.emplace_back(*line);
  CHECK(reader.error() == 0);
  CHECK_FALSE(reader.too_long());
  return lines;
}

Lines lines_of(std::string_view text, std::size_t block_bytes = 16) {
  const MemoryFile file(text);
  return read_all(file.descriptor(), block_bytes);
}

// The obvious twin.
Lines split(std::string_view text) {
  Lines lines;
  while (!text.empty()) {
    const auto at = text.find('\n');
    lines.emplace_back(text.substr(0, at));
    text.remove_prefix(at == std::string_view::npos ? text.size() : at + 1);
  }
  return lines;
}

TEST_CASE("empty lines count, and so does a last line without a newline") {
  CHECK(lines_of("") == Lines{});
  CHECK(lines_of("\n") == Lines{""});
  CHECK(lines_of("\n\na") == Lines{"", "", "a"});
  CHECK(lines_of("a\nb\n") == Lines{"a", "b"});
  CHECK(lines_of("a\r\n") == Lines{"a\r"});
}

TEST_CASE("a line that fills its block, or is longer, comes whole") {
  for (std::size_t length = 0; length < 70; ++length) {
    const std::string line(length, 'x');
    CHECK(lines_of(line + "\n" + line + "\nend") == Lines{line, line, "end"});
  }
}

TEST_CASE("random text is split at every block size as the plain way splits it") {
  const std::uint64_t seed = 7;
  CAPTURE(seed);
  Random random(seed);
  for (int round = 0; round < 500; ++round) {
    std::string text;
    for (auto n = random.next() % 200; n > 0; --n) text += random.next() % 6 == 0 ? '\n' : 'x';
    REQUIRE(lines_of(text, 1 + random.next() % 40) == split(text));
  }
}

TEST_CASE("a pipe that is filled in pieces gives whole lines") {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  std::thread writer([&] {
    for (const char* piece : {"fir", "st\nsec", "ond", "\n", "last"})
      REQUIRE(::write(ends[1], piece, std::strlen(piece)) > 0);
    ::close(ends[1]);
  });
  CHECK(read_all(ends[0], 16) == Lines{"first", "second", "last"});
  writer.join();
  ::close(ends[0]);
}

TEST_CASE("a line above the limit stops the reader and names itself") {
  const MemoryFile file("ok\n" + std::string(5000, 'x') + "\nnever\n");
  LineReader reader(file.descriptor(), 100, 16);
  CHECK(reader.next() == "ok");
  CHECK_FALSE(reader.next());
  CHECK(reader.too_long());
  CHECK(reader.line_number() == 2);
}

TEST_CASE("the rest is one piece, once, with its newlines") {
  const MemoryFile file("a\nb\n");
  LineReader reader(file.descriptor());
  CHECK(reader.rest() == "a\nb\n");
  CHECK_FALSE(reader.rest());
  const MemoryFile nothing("");
  LineReader empty(nothing.descriptor());
  CHECK(empty.rest() == "");
  CHECK_FALSE(empty.rest());
}

TEST_CASE("a failed read is told") {
  const int directory = ::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  LineReader reader(directory);
  CHECK_FALSE(reader.next());
  CHECK(reader.error() == EISDIR);
  ::close(directory);
}

}  // namespace
}  // namespace millrace::cli
