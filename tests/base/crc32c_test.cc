#include "storage/base/crc32c.h"

#include "storage/base/random.h"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

using namespace millrace;

namespace {

std::vector<std::byte> random_bytes(std::size_t size, std::uint64_t seed) {
  Random random(seed);
  std::vector<std::byte> out(size);
  for (auto& b : out) b = static_cast<std::byte>(random.next());
  return out;
}

}  // namespace

TEST_CASE("the vectors of RFC 3720 appendix B.4") {
  std::vector<std::byte> bytes(32, std::byte{0});
  CHECK(crc32c(bytes) == 0x8A9136AAu);
  bytes.assign(32, std::byte{0xFF});
  CHECK(crc32c(bytes) == 0x62A8AB43u);
  for (std::size_t i = 0; i < 32; ++i) bytes[i] = static_cast<std::byte>(i);
  CHECK(crc32c(bytes) == 0x46DD794Eu);
  for (std::size_t i = 0; i < 32; ++i) bytes[i] = static_cast<std::byte>(31 - i);
  CHECK(crc32c(bytes) == 0x113FDB5Cu);
  CHECK(crc32c(as_bytes("123456789")) == 0xE3069283u);
}

TEST_CASE("the checksum of nothing is 0") {
  CHECK(crc32c({}) == 0);
  CHECK(crc32c_table({}) == 0);
  CHECK(crc32c_extend(0x12345678u, {}) == 0x12345678u);
}

TEST_CASE("the hardware and the table agree at every length and alignment") {
  const auto bytes = random_bytes(5000, 7);
  for (std::size_t size = 0; size < 300; ++size) {
    for (std::size_t at = 0; at < 9; ++at) {
      const ByteView part = ByteView(bytes).subspan(at, size);
      REQUIRE(crc32c(part) == crc32c_table(part));
    }
  }
  CHECK(crc32c(bytes) == crc32c_table(bytes));
}

TEST_CASE("a checksum continued in pieces is the checksum of the whole") {
  const std::uint64_t seed = static_cast<std::uint64_t>(GENERATE(range(1, 50)));
  INFO("seed " << seed);
  Random random(seed);
  const auto bytes = random_bytes(1 + random.below(10'000), seed);
  std::uint32_t crc = 0;
  for (ByteView rest(bytes); !rest.empty();) {
    const std::size_t piece = 1 + random.below(rest.size());
    crc = crc32c_extend(crc, rest.first(piece));
    rest = rest.subspan(piece);
  }
  CHECK(crc == crc32c(bytes));
}

TEST_CASE("every single flipped bit changes the checksum") {
  auto bytes = random_bytes(64, 3);
  const std::uint32_t right = crc32c(bytes);
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    bytes[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    CHECK(crc32c(bytes) != right);
    bytes[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
  }
}
