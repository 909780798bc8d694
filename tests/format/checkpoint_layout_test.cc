#include "storage/format/checkpoint_layout.h"

#include "storage/base/crc32c.h"
#include "tests/support/batch_maker.h"

#include <catch2/catch.hpp>

#include <algorithm>

using namespace millrace;
using test::Bytes;
namespace layout = checkpoint_layout;

namespace {

Checkpoint sample() {
  Checkpoint c;
  c.generation = 0x0102030405060708;
  for (std::size_t i = 0; i < 16; ++i) c.topic_id.bytes[i] = static_cast<std::uint8_t>(0x20 + i);
  c.partition = 9;
  c.clean = true;
  c.start_offset = Offset{100};
  c.durable_end = Offset{200};
  c.segment_base = Offset{150};
  c.segment_id = 0x1112131415161718;
  c.scan_position = Position{8192};
  c.last_append_time = WallTime{1'700'000'000'000'000'000};
  c.last_crc = 0xCAFEBABE;
  c.producers.push_back(
      {7, 2, {{10, 3, 0xAA, Offset{180}, WallTime{5}}, {13, 1, 0xBB, Offset{183}, WallTime{6}}}});
  c.producers.push_back({8, 0, {{0, 1, 0xCC, Offset{190}, WallTime{7}}}});
  return c;
}

}  // namespace

TEST_CASE("a checkpoint is decoded to what was encoded") {
  auto c = sample();
  REQUIRE(*decode_checkpoint(encode_checkpoint(c)) == c);
  c.clean = false;
  c.producers.clear();
  REQUIRE(*decode_checkpoint(encode_checkpoint(c)) == c);
  REQUIRE(*decode_checkpoint(encode_checkpoint(Checkpoint{})) == Checkpoint{});
}

TEST_CASE("a checkpoint has its numbers where the page says") {
  const Bytes bytes = encode_checkpoint(sample());
  REQUIRE(bytes.size() == 4096);
  REQUIRE(as_text(bytes).substr(0, 8) == "MIRVKCP1");
  const std::byte* at = bytes.data();
  REQUIRE(load_le<std::uint32_t>(at + 8) == 1);
  const auto body_bytes = load_le<std::uint32_t>(at + 16);
  REQUIRE(body_bytes == 112 + 2 * 16 + 3 * 32);
  REQUIRE(load_le<std::uint64_t>(at + 24) == 0x0102030405060708);
  REQUIRE(load_le<std::uint8_t>(at + 32) == 0x20);
  REQUIRE(load_le<std::uint32_t>(at + 48) == 9);
  REQUIRE(load_le<std::uint32_t>(at + 52) == 1);
  REQUIRE(load_le<std::uint64_t>(at + 56) == 100);
  REQUIRE(load_le<std::uint64_t>(at + 64) == 200);
  REQUIRE(load_le<std::uint64_t>(at + 72) == 150);
  REQUIRE(load_le<std::uint64_t>(at + 80) == 0x1112131415161718);
  REQUIRE(load_le<std::uint64_t>(at + 88) == 8192);
  REQUIRE(load_le<std::uint64_t>(at + 96) == 1'700'000'000'000'000'000);
  REQUIRE(load_le<std::uint32_t>(at + 104) == 0xCAFEBABE);
  REQUIRE(load_le<std::uint32_t>(at + 108) == 2);
  REQUIRE(load_le<std::uint64_t>(at + 112) == 7);
  REQUIRE(load_le<std::uint32_t>(at + 120) == 2);
  REQUIRE(load_le<std::uint32_t>(at + 124) == 2);
  REQUIRE(load_le<std::uint64_t>(at + 128) == 10);
}

TEST_CASE("ST-08 every flipped bit of a checkpoint is refused or does not matter") {
  const auto c = sample();
  const Bytes bytes = encode_checkpoint(c);
  const auto body_bytes = load_le<std::uint32_t>(bytes.data() + 16);
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      const auto decoded =
          decode_checkpoint(test::flipped(bytes, at, static_cast<std::uint8_t>(1u << bit)));
      INFO("byte " << at << " bit " << bit);
      if (at < body_bytes) {
        REQUIRE_FALSE(decoded);
      } else if (decoded) {
        REQUIRE(*decoded == c);  // padding
      }
    }
  }
}

TEST_CASE("ST-08 a checkpoint that is cut short, zeros or random is refused") {
  const Bytes bytes = encode_checkpoint(sample());
  const auto body_bytes = load_le<std::uint32_t>(bytes.data() + 16);
  for (std::size_t size = 0; size < body_bytes; ++size) {
    REQUIRE_FALSE(decode_checkpoint(ByteView(bytes).first(size)));
  }
  REQUIRE_FALSE(decode_checkpoint(Bytes(4096)));
  Random random(3);
  for (int i = 0; i < 500; ++i) {
    Bytes noise = test::random_bytes(random, random.below(600));
    if (noise.size() > 16) std::copy(bytes.begin(), bytes.begin() + 12, noise.begin());
    REQUIRE_FALSE(decode_checkpoint(noise));
  }
}

TEST_CASE("a checkpoint of the most producers fits in its slot") {
  Checkpoint c = sample();
  c.producers.assign(layout::producers_limit, {});
  for (std::size_t i = 0; i < c.producers.size(); ++i) {
    c.producers[i].producer_id = i + 1;
    c.producers[i].batches.assign(layout::batches_limit, {});
  }
  const Bytes bytes = encode_checkpoint(c);
  REQUIRE(bytes.size() <= layout::slot_bytes);
  REQUIRE(*decode_checkpoint(bytes) == c);
}

TEST_CASE("a checkpoint of more producers than the limit is refused") {
  // Without batches they fit; a log that took them could not write its next checkpoint.
  Checkpoint c = sample();
  c.producers.assign(layout::producers_limit, {});
  Bytes bytes = encode_checkpoint(c);
  const auto body_bytes = load_le<std::uint32_t>(bytes.data() + 16) + 16;
  REQUIRE(body_bytes <= bytes.size());
  store_le(bytes.data() + 16, body_bytes);
  store_le(bytes.data() + 108, layout::producers_limit + 1);
  store_le(bytes.data() + 12, crc32c(ByteView(bytes).subspan(16, body_bytes - 16)));
  REQUIRE_FALSE(decode_checkpoint(bytes));
}

TEST_CASE("a checkpoint whose counts lie under a valid checksum is refused") {
  const auto with = [](std::size_t at, std::uint32_t value) {
    Bytes bytes = encode_checkpoint(sample());
    const auto body_bytes = load_le<std::uint32_t>(bytes.data() + 16);
    store_le(bytes.data() + at, value);
    store_le(bytes.data() + 12, crc32c(ByteView(bytes).subspan(16, body_bytes - 16)));
    return decode_checkpoint(bytes).has_value();
  };
  REQUIRE(with(120, 3));  // an epoch may be anything: the way the test seals is right
  REQUIRE_FALSE(with(108, 3));
  REQUIRE_FALSE(with(108, 0xFFFFFFFF));
  REQUIRE_FALSE(with(124, 4));
  REQUIRE_FALSE(with(124, 33));
  REQUIRE_FALSE(with(124, 0xFFFFFFFF));
}
