// The offline reader of topic.meta has its own copy of the layout; the broker's writer keeps it
// honest.
#include "storage/inspect/topic_meta_file.h"

#include "broker/meta/catalog_codec.h"

#include <catch2/catch.hpp>

namespace millrace::inspect {
namespace {

std::vector<std::byte> sample() {
  TopicMeta meta;
  meta.id.bytes = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
  meta.name = "orders";
  meta.partitions = 7;
  meta.created.ns = 1'700'000'000'000'000'000;
  meta.generation = 3;
  meta.settings = {"retention_age=2 days", "segment_bytes=1 MiB"};
  return encode_topic_meta(meta);
}

TEST_CASE("what the broker writes is read back") {
  const auto read = decode_topic_meta_file(sample());
  REQUIRE(read.has_value());
  CHECK(read->id.to_hex() == "0102030405060708090a0b0c0d0e0f10");
  CHECK(read->name == "orders");
  CHECK(read->partitions == 7);
  CHECK(read->created.ns == 1'700'000'000'000'000'000);
  CHECK(read->generation == 3);
  CHECK(read->settings == std::vector<std::string>{"retention_age=2 days", "segment_bytes=1 MiB"});
}

TEST_CASE("every flipped byte that counts and every cut is refused") {
  const auto whole = sample();
  for (std::size_t i = 0; i < whole.size(); ++i) {
    if (i >= 20 && i < 32) continue;  // not summed: zero, and not looked at
    auto flipped = whole;
    flipped[i] ^= std::byte{0x40};
    CAPTURE(i);
    CHECK_FALSE(decode_topic_meta_file(flipped).has_value());
    CHECK_FALSE(decode_topic_meta_file(ByteView(whole).first(i)).has_value());
  }
}

TEST_CASE("a topic that no broker would take is refused, whatever its checksum says") {
  for (const auto& [name, partitions] :
       std::vector<std::pair<std::string, std::uint32_t>>{{"orders", 0},
                                                          {"", 1},
                                                          {".hidden", 1},
                                                          {"a/b", 1},
                                                          {std::string("a\0b", 3), 1},
                                                          {std::string(201, 'x'), 1}}) {
    TopicMeta meta;
    meta.name = name;
    meta.partitions = partitions;
    CAPTURE(name, partitions);
    const auto file = encode_topic_meta(meta);
    CHECK_FALSE(decode_topic_meta(file).has_value());
    CHECK_FALSE(decode_topic_meta_file(file).has_value());
  }
}

}  // namespace
}  // namespace millrace::inspect
