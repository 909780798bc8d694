#include "storage/format/segment_layout.h"

#include "storage/base/crc32c.h"
#include "tests/support/batch_maker.h"

#include <catch2/catch.hpp>

#include <algorithm>

using namespace millrace;
using test::Bytes;
namespace layout = segment_layout;

namespace {

SegmentHeader sample() {
  SegmentHeader header;
  for (std::size_t i = 0; i < 16; ++i) {
    header.cluster_id.bytes[i] = static_cast<std::uint8_t>(0x10 + i);
    header.topic_id.bytes[i] = static_cast<std::uint8_t>(0x40 + i);
  }
  header.partition = 3;
  header.base_offset = Offset{0x0102030405060708};
  header.segment_id = 0x1112131415161718;
  header.created = WallTime{0x2122232425262728};
  header.previous_segment_id = 0x3132333435363738;
  header.previous_base_offset = Offset{0x0142434445464748};
  header.previous_crc = 0x51525354;
  header.topic_name = "orders.v1";
  return header;
}

Bytes encoded(const SegmentHeader& header) {
  Bytes block(layout::header_bytes, std::byte{0xEE});
  encode_segment_header(header, block);
  return block;
}

void reseal(Bytes& block) {
  store_le(block.data() + layout::crc_at, crc32c(ByteView(block).first(layout::crc_at)));
}

}  // namespace

TEST_CASE("a segment header has exactly the documented bytes") {
  const Bytes block = encoded(sample());
  const std::string_view text = as_text(block);
  REQUIRE(text.substr(0, 8) == "MIRVSEG1");
  REQUIRE(load_le<std::uint32_t>(block.data() + 8) == 1);
  REQUIRE(load_le<std::uint32_t>(block.data() + 12) == 3);
  for (std::size_t i = 0; i < 16; ++i) {
    REQUIRE(block[16 + i] == static_cast<std::byte>(0x10 + i));
    REQUIRE(block[32 + i] == static_cast<std::byte>(0x40 + i));
  }
  REQUIRE(load_le<std::uint64_t>(block.data() + 48) == 0x0102030405060708);
  REQUIRE(load_le<std::uint64_t>(block.data() + 56) == 0x1112131415161718);
  REQUIRE(load_le<std::uint64_t>(block.data() + 64) == 0x2122232425262728);
  REQUIRE(load_le<std::uint64_t>(block.data() + 72) == 0x3132333435363738);
  REQUIRE(load_le<std::uint64_t>(block.data() + 80) == 0x0142434445464748);
  REQUIRE(load_le<std::uint32_t>(block.data() + 88) == 0x51525354);
  REQUIRE(load_le<std::uint32_t>(block.data() + 92) == 9);
  REQUIRE(text.substr(96, 9) == "orders.v1");
  REQUIRE(std::all_of(block.begin() + 105, block.begin() + 4092,
                      [](std::byte b) { return b == std::byte{0}; }));
  REQUIRE(load_le<std::uint32_t>(block.data() + 4092) == crc32c_table(ByteView(block).first(4092)));
}

TEST_CASE("a segment header is decoded to what was encoded") {
  auto header = sample();
  REQUIRE(*decode_segment_header(encoded(header)) == header);
  header.topic_name.assign(layout::topic_name_limit, 'n');
  REQUIRE(*decode_segment_header(encoded(header)) == header);
  header.topic_name.clear();
  header.base_offset = offset_max;
  REQUIRE(*decode_segment_header(encoded(header)) == header);
}

TEST_CASE("every flipped bit of a segment header is refused") {
  const Bytes block = encoded(sample());
  for (std::size_t at = 0; at < block.size(); ++at) {
    const auto bits = static_cast<std::uint8_t>(1u << (at % 8));
    INFO(at);
    REQUIRE_FALSE(decode_segment_header(test::flipped(block, at, bits)));
  }
  for (std::size_t at = 0; at < 128; ++at) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      REQUIRE_FALSE(
          decode_segment_header(test::flipped(block, at, static_cast<std::uint8_t>(1u << bit))));
    }
  }
}

TEST_CASE("a segment header that is cut short, or zeros, is refused") {
  const Bytes block = encoded(sample());
  for (const std::size_t bytes : {0u, 1u, 8u, 96u, 4091u, 4095u}) {
    REQUIRE(decode_segment_header(ByteView(block).first(bytes)).error().code == Errc::corrupt);
  }
  REQUIRE(decode_segment_header(Bytes(layout::header_bytes)).error().code == Errc::corrupt);
}

TEST_CASE("a segment header whose numbers lie under a valid checksum is refused") {
  Bytes block = encoded(sample());
  store_le(block.data() + layout::topic_name_bytes_at, std::uint32_t{201});
  reseal(block);
  REQUIRE(decode_segment_header(block).error().code == Errc::corrupt);
  block = encoded(sample());
  store_le(block.data() + layout::topic_name_bytes_at, std::uint32_t{0xFFFFFFFF});
  reseal(block);
  REQUIRE(decode_segment_header(block).error().code == Errc::corrupt);
  block = encoded(sample());
  store_le(block.data() + layout::segment_id_at, std::uint64_t{0});
  reseal(block);
  REQUIRE(decode_segment_header(block).error().code == Errc::corrupt);
  block = encoded(sample());
  store_le(block.data() + layout::base_offset_at, UINT64_MAX);
  reseal(block);
  REQUIRE(decode_segment_header(block).error().code == Errc::corrupt);
}

TEST_CASE("a segment of a newer format version is unsupported, not corrupt") {
  Bytes block = encoded(sample());
  store_le(block.data() + layout::version_at, std::uint32_t{2});
  reseal(block);
  REQUIRE(decode_segment_header(block).error().code == Errc::unsupported);
}
