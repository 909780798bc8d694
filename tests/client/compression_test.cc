#include "client/src/compression.h"

#include "client/src/batch_sealer.h"
#include "tests/support/batch_maker.h"

#include <catch2/catch.hpp>
#include <lz4.h>
#include <zstd.h>

using namespace millrace;
using detail::BatchSealer;
using detail::Decompressor;

namespace {

ByteView view(const zmq::message_t& message) {
  return {static_cast<const std::byte*>(message.data()), message.size()};
}

zmq::message_t sealed(Codec codec, std::string_view payload) {
  BatchBodyBuilder body;
  body.add(as_bytes("key"), as_bytes(payload), {}, 5);
  return BatchSealer(codec).seal(body, {9, 1, 7});
}

// A batch whose compressed body is `body`, said to be `raw_bytes` when undone.
test::Bytes batch_of(Codec codec, ByteView body, std::uint32_t raw_bytes) {
  test::Bytes batch(batch_layout::header_bytes + body.size());
  std::copy(body.begin(), body.end(), batch.begin() + batch_layout::header_bytes);
  BatchDraft draft;
  draft.codec = codec;
  draft.raw_bytes = raw_bytes;
  draft.event_count = 1;
  seal_batch(batch, draft);
  return batch;
}

test::Bytes compressed(Codec codec, const std::string& text) {
  test::Bytes out(detail::compressed_bytes_max(codec, text.size()));
  if (codec == Codec::zstd) {
    out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 1));
  } else {
    out.resize(static_cast<std::size_t>(
        LZ4_compress_default(text.data(), reinterpret_cast<char*>(out.data()),
                             static_cast<int>(text.size()), static_cast<int>(out.size()))));
  }
  return out;
}

// Compresses well, but not beyond the ratio that readers allow at all.
std::string dull_text(std::size_t bytes) {
  std::string out;
  for (std::uint32_t i = 0; out.size() < bytes; ++i) out += std::to_string(i * 2'654'435'761u);
  out.resize(bytes);
  return out;
}

}  // namespace

TEST_CASE("a compressed batch is smaller and comes back the same") {
  const std::string payload(20'000, 'a');
  for (const Codec codec : {Codec::zstd, Codec::lz4}) {
    INFO(codec_name(codec));
    const auto message = sealed(codec, payload);
    const auto batch = BatchView::parse(view(message));
    REQUIRE(batch.has_value());
    CHECK(batch->header().codec == codec);
    CHECK(batch->header().sequence == 7);
    CHECK(batch->header().body_bytes < 1000);
    Decompressor decompressor;
    const auto body = decompressor.body(*batch, 1 << 20);
    REQUIRE(body.has_value());
    const auto columns = BatchBodyView::parse(*body, 1);
    REQUIRE(columns.has_value());
    CHECK(as_text(columns->payload(0)) == payload);
    CHECK(as_text(columns->key(0)) == "key");
  }
}

TEST_CASE("a body that does not get smaller goes as it is") {
  Random random(1);
  const test::Bytes noise = test::random_bytes(random, 5'000);
  const auto message = sealed(Codec::lz4, as_text(noise));
  const auto batch = BatchView::parse(view(message));
  REQUIRE(batch.has_value());
  CHECK(batch->header().codec == Codec::none);
}

TEST_CASE("a resealed batch has the same body at another place in the session") {
  const auto first = sealed(Codec::zstd, std::string(5'000, 'b'));
  const auto second = BatchSealer::reseal(first, {9, 2, 0});
  const auto a = BatchView::parse(view(first));
  const auto b = BatchView::parse(view(second));
  REQUIRE((a.has_value() && b.has_value()));
  CHECK(b->header().producer_epoch == 2);
  CHECK(b->header().sequence == 0);
  CHECK(body_checksum(a->header()) == body_checksum(b->header()));
}

TEST_CASE(
    "PR-12: a batch that says it is larger than the limit is refused before anything is "
    "allocated") {
  for (const Codec codec : {Codec::zstd, Codec::lz4}) {
    const test::Bytes batch = batch_of(codec, compressed(codec, dull_text(60'000)), 60'000);
    const auto parsed = BatchView::parse(batch);
    REQUIRE(parsed.has_value());
    Decompressor decompressor;
    const auto body = decompressor.body(*parsed, 59'999);
    REQUIRE_FALSE(body.has_value());
    CHECK(body.error().code == Errc::too_large);
    CHECK(decompressor.body(*parsed, 60'000).has_value());
  }
}

TEST_CASE("PR-12: a body that grows to more or less than its header says is refused") {
  for (const Codec codec : {Codec::zstd, Codec::lz4}) {
    for (const std::uint32_t lie : {100u, 59'999u, 60'001u}) {
      INFO(codec_name(codec) << " " << lie);
      const test::Bytes batch = batch_of(codec, compressed(codec, dull_text(60'000)), lie);
      const auto parsed = BatchView::parse(batch);
      REQUIRE(parsed.has_value());
      const auto body = Decompressor().body(*parsed, 1 << 20);
      REQUIRE_FALSE(body.has_value());
      CHECK(body.error().code == Errc::corrupt);
    }
  }
}

TEST_CASE(
    "PR-12: two zstd frames in one body are refused when the second passes the declared size") {
  test::Bytes body = compressed(Codec::zstd, std::string(1'000, 'y'));
  const test::Bytes bomb = compressed(Codec::zstd, std::string(1 << 20, 'y'));
  body.insert(body.end(), bomb.begin(), bomb.end());
  const test::Bytes batch = batch_of(Codec::zstd, body, 1'000);
  const auto parsed = BatchView::parse(batch);
  REQUIRE(parsed.has_value());
  const auto undone = Decompressor().body(*parsed, 1 << 20);
  REQUIRE_FALSE(undone.has_value());
  CHECK(undone.error().code == Errc::corrupt);
}

TEST_CASE("bytes that are no frame of their codec are refused") {
  const std::string junk = "this was never compressed by anybody";
  for (const Codec codec : {Codec::zstd, Codec::lz4}) {
    const test::Bytes batch = batch_of(codec, as_bytes(junk), 5'000);
    const auto parsed = BatchView::parse(batch);
    REQUIRE(parsed.has_value());
    CHECK_FALSE(Decompressor().body(*parsed, 1 << 20).has_value());
  }
}
