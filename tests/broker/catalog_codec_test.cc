#include "broker/meta/catalog_codec.h"

#include "storage/base/random.h"

#include <catch2/catch.hpp>

using namespace millrace;

namespace {

TopicMeta sample() {
  TopicMeta meta;
  for (std::size_t i = 0; i < 16; ++i) meta.id.bytes[i] = static_cast<std::uint8_t>(200 - i);
  meta.name = "orders.v1";
  meta.partitions = 12;
  meta.created = WallTime{1'700'000'000'000'000'123};
  meta.generation = 3;
  meta.settings = {"live=false", "segment_bytes=1 MiB"};
  return meta;
}

}  // namespace

TEST_CASE("a topic.meta comes back as it was") {
  const auto file = encode_topic_meta(sample());
  const auto meta = decode_topic_meta(file);
  REQUIRE(meta);
  CHECK(*meta == sample());
}

TEST_CASE("ST-08: a topic.meta that was cut or changed in one byte is corrupt") {
  const auto file = encode_topic_meta(sample());
  for (std::size_t length = 0; length < file.size(); ++length) {
    CHECK_FALSE(decode_topic_meta(ByteView(file).first(length)));
  }
  for (std::size_t at = 0; at < file.size(); ++at) {
    if (at >= 20 && at < 32) continue;  // reserved, not summed
    auto damaged = file;
    damaged[at] ^= std::byte{0x10};
    INFO(at);
    CHECK_FALSE(decode_topic_meta(damaged));
  }
  CHECK_FALSE(decode_topic_meta(std::vector<std::byte>(4096)));
}

TEST_CASE("random bytes are no topic.meta") {
  Random random(3);
  for (int i = 0; i < 500; ++i) {
    std::vector<std::byte> bytes(random.below(300));
    for (auto& byte : bytes) byte = static_cast<std::byte>(random.next());
    CHECK_FALSE(decode_topic_meta(bytes));
  }
}
