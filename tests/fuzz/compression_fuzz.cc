// A compressed body, as a reader undoes it (PR-12): never more bytes than the header says, and the
// offline tools agree.
//
// Input: u8 codec, u32 bytes that the header says, then the compressed body.
#include "client/src/compression.h"
#include "storage/base/check.h"
#include "storage/inspect/batch_events.h"
#include "tests/fuzz/fuzz.h"

#include <lz4.h>
#include <zstd.h>

namespace millrace::fuzz {
namespace {

constexpr std::uint32_t raw_bytes_max = 1 << 20;

struct Claim {
  Codec codec;
  std::uint32_t raw_bytes;
  ByteView body;
  explicit Claim(ByteView input) {
    Input in(input);
    codec = in.take<std::uint8_t>() % 2 == 0 ? Codec::zstd : Codec::lz4;
    raw_bytes = in.take<std::uint32_t>();
    body = in.rest();
  }
};

// Compressed anew and undone, the same bytes come out.
void check_round_trip(Codec codec, ByteView raw) {
  detail::Compressor compressor;
  Bytes out(batch_layout::header_bytes + detail::compressed_bytes_max(codec, raw.size()));
  const std::size_t bytes =
      compressor.compress(codec, raw, MutableBytes(out).subspan(batch_layout::header_bytes));
  if (bytes == 0) return;
  out.resize(batch_layout::header_bytes + bytes);
  BatchDraft draft;
  draft.codec = codec;
  draft.raw_bytes = static_cast<std::uint32_t>(raw.size());
  draft.event_count = 1;
  seal_batch(out, draft);
  const auto batch = BatchView::parse(out);
  CHECK(batch.has_value(), "a compressed batch keeps the ratio that readers allow");
  detail::Decompressor decompressor;
  const auto undone = decompressor.body(*batch, raw_bytes_max);
  CHECK(undone.has_value() && std::equal(undone->begin(), undone->end(), raw.begin(), raw.end()),
        "what was compressed comes back");
}

void run(ByteView input) {
  const Claim claim(input);
  if (claim.body.empty()) return;
  Bytes bytes(batch_layout::header_bytes);
  append_bytes(bytes, claim.body);
  BatchDraft draft;
  draft.codec = claim.codec;
  draft.raw_bytes = claim.raw_bytes;
  draft.event_count = 1;
  seal_batch(bytes, draft);
  const auto batch = BatchView::parse(bytes);
  if (!batch) return;
  detail::Decompressor decompressor;
  const auto body = decompressor.body(*batch, raw_bytes_max);
  if (claim.raw_bytes > raw_bytes_max) {
    CHECK(!body && body.error().code == Errc::too_large, "a reader's limit holds");
    return;
  }
  const auto columns = inspect::BatchEvents().check(*batch);
  if (!body) {
    CHECK(body.error().code == Errc::corrupt,
          "a body that does not become what it says is corrupt");
    return;
  }
  CHECK(body->size() == claim.raw_bytes, "a body is as long as its header says");
  CHECK(columns.has_value() || columns.error().code == Errc::bad_batch,
        "the tools undo what a reader undoes");
  check_round_trip(claim.codec, copy_of(*body));
}

void mutate(Bytes& input, std::size_t bytes_max, Mutation& mutation) {
  mutation.change(input, bytes_max);
  // Half of the time the claim is what a zstd frame says of itself.
  if (input.size() <= 5 || mutation.random.chance(1, 2)) return;
  const auto said = ZSTD_getFrameContentSize(input.data() + 5, input.size() - 5);
  if (said <= 2 * std::uint64_t{raw_bytes_max})
    store_le(input.data() + 1, static_cast<std::uint32_t>(said));
}

std::vector<Seed> seeds() {
  std::vector<Seed> out;
  std::string text;
  for (std::uint32_t i = 0; text.size() < 2'000; ++i) text += std::to_string(i * 2'654'435'761u);
  const auto add = [&](std::string name, std::uint8_t codec, std::uint32_t raw, const Bytes& body) {
    Bytes input;
    append(input, codec);
    append(input, raw);
    append_bytes(input, body);
    out.push_back({std::move(name), std::move(input)});
  };
  const auto raw = static_cast<std::uint32_t>(text.size());
  Bytes zstd(ZSTD_compressBound(text.size()));
  zstd.resize(ZSTD_compress(zstd.data(), zstd.size(), text.data(), text.size(), 3));
  Bytes lz4(static_cast<std::size_t>(LZ4_compressBound(static_cast<int>(text.size()))));
  lz4.resize(static_cast<std::size_t>(
      LZ4_compress_default(text.data(), reinterpret_cast<char*>(lz4.data()),
                           static_cast<int>(text.size()), static_cast<int>(lz4.size()))));
  add("zstd", 0, raw, zstd);
  add("lz4", 1, raw, lz4);
  add("zstd-lies", 0, raw + 1, zstd);
  add("lz4-lies", 1, raw - 1, lz4);
  const std::string zeros(1'000'000, '\0');
  Bytes bomb(ZSTD_compressBound(zeros.size()));
  bomb.resize(ZSTD_compress(bomb.data(), bomb.size(), zeros.data(), zeros.size(), 3));
  add("zstd-bomb", 0, static_cast<std::uint32_t>(zeros.size()), bomb);
  return out;
}

const Register registered({"compression", run, mutate, seeds});

}  // namespace
}  // namespace millrace::fuzz
