#include "storage/format/index_layout.h"

#include "storage/base/crc32c.h"
#include "tests/support/batch_maker.h"

#include <catch2/catch.hpp>

#include <algorithm>

using namespace millrace;
using test::Bytes;

namespace {

IndexFile sample() {
  IndexFile index;
  index.segment_id = 0x1112131415161718;
  index.base_offset = Offset{1000};
  index.end_offset = Offset{1100};
  index.end_position = Position{65536};
  index.last_append_time = WallTime{99};
  index.last_crc = 0xABCD0123;
  for (std::uint64_t i = 0; i < 5; ++i) {
    index.entries.push_back({Offset{1000 + 20 * i}, Position{4096 * (i + 1)},
                             WallTime{static_cast<std::int64_t>(10 + i)}});
  }
  return index;
}

void require_same(const IndexFile& a, const IndexFile& b) {
  REQUIRE(a.segment_id == b.segment_id);
  REQUIRE(a.base_offset == b.base_offset);
  REQUIRE(a.end_offset == b.end_offset);
  REQUIRE(a.end_position == b.end_position);
  REQUIRE(a.last_append_time == b.last_append_time);
  REQUIRE(a.last_crc == b.last_crc);
  REQUIRE(a.entries == b.entries);
}

void reseal(Bytes& bytes) {
  const auto count = load_le<std::uint32_t>(bytes.data() + 12);
  const std::size_t size = std::min<std::size_t>(64 + std::size_t{24} * count, bytes.size());
  const std::uint32_t head = crc32c(ByteView(bytes).first(60));
  store_le(bytes.data() + 60, crc32c_extend(head, ByteView(bytes).subspan(64, size - 64)));
}

}  // namespace

TEST_CASE("an index is decoded to what was encoded, with and without padding") {
  auto index = sample();
  Bytes bytes = encode_index(index);
  auto decoded = decode_index(bytes);
  REQUIRE(decoded);
  require_same(*decoded, index);
  bytes.resize(bytes.size() + 4096);
  decoded = decode_index(bytes);
  REQUIRE(decoded);
  require_same(*decoded, index);
  index.entries.clear();
  decoded = decode_index(encode_index(index));
  REQUIRE(decoded);
  require_same(*decoded, index);
}

TEST_CASE("an index has its numbers where the page says") {
  const Bytes bytes = encode_index(sample());
  const std::byte* at = bytes.data();
  REQUIRE(as_text(bytes).substr(0, 8) == "MIRVIDX1");
  REQUIRE(load_le<std::uint32_t>(at + 8) == 1);
  REQUIRE(load_le<std::uint32_t>(at + 12) == 5);
  REQUIRE(load_le<std::uint64_t>(at + 16) == 0x1112131415161718);
  REQUIRE(load_le<std::uint64_t>(at + 24) == 1000);
  REQUIRE(load_le<std::uint64_t>(at + 32) == 1100);
  REQUIRE(load_le<std::uint64_t>(at + 40) == 65536);
  REQUIRE(load_le<std::int64_t>(at + 48) == 99);
  REQUIRE(load_le<std::uint32_t>(at + 56) == 0xABCD0123);
  REQUIRE(load_le<std::uint64_t>(at + 64 + 24) == 1020);
  REQUIRE(load_le<std::uint64_t>(at + 64 + 24 + 8) == 8192);
  REQUIRE(load_le<std::int64_t>(at + 64 + 24 + 16) == 11);
}

TEST_CASE("ST-07 every flipped bit of an index is refused") {
  const Bytes bytes = encode_index(sample());
  const std::size_t size = 64 + 24 * 5;
  for (std::size_t at = 0; at < size; ++at) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      INFO("byte " << at << " bit " << bit);
      REQUIRE_FALSE(decode_index(test::flipped(bytes, at, static_cast<std::uint8_t>(1u << bit))));
    }
  }
}

TEST_CASE("ST-07 an index that is cut short, zeros or random is refused") {
  const Bytes bytes = encode_index(sample());
  for (std::size_t size = 0; size < 64 + 24 * 5; ++size)
    REQUIRE_FALSE(decode_index(ByteView(bytes).first(size)));
  REQUIRE_FALSE(decode_index(Bytes(4096)));
  Random random(4);
  for (int i = 0; i < 500; ++i)
    REQUIRE_FALSE(decode_index(test::random_bytes(random, random.below(300))));
}

TEST_CASE("ST-07 an index whose entries do not rise is refused under a valid checksum") {
  const auto with = [](std::size_t at, std::uint64_t value) {
    Bytes bytes = encode_index(sample());
    store_le(bytes.data() + at, value);
    reseal(bytes);
    return decode_index(bytes).has_value();
  };
  REQUIRE(with(64 + 24, 1021));
  REQUIRE_FALSE(with(64 + 24, 999));
  REQUIRE_FALSE(with(64 + 24, 1000));
  REQUIRE_FALSE(with(64 + 24 + 8, 4096));
  REQUIRE_FALSE(with(64 + 24 + 8, 100));
}

TEST_CASE("ST-06 an entry count that lies is refused before anything is allocated") {
  Bytes bytes = encode_index(sample());
  for (const std::uint32_t count : {6u, 0x00100001u, 0xFFFFFFFFu}) {
    store_le(bytes.data() + 12, count);
    reseal(bytes);
    REQUIRE_FALSE(decode_index(bytes));
  }
}
