#include "storage/format/batch.h"

#include "storage/base/crc32c.h"
#include "tests/support/batch_maker.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstring>

using namespace millrace;
using test::Bytes;
namespace layout = batch_layout;

namespace {

BatchPlace sample_place() {
  BatchPlace place;
  place.base_offset = Offset{1000};
  place.leader_epoch = LeaderEpoch{7};
  place.append_time = WallTime{1'700'000'000'000'000'123};
  place.segment_id = 0x1122334455667788;
  place.position = 8192;
  place.previous_crc = 0xAABBCCDD;
  place.durable_position = 4096;
  return place;
}

Bytes stamped(Bytes batch, const BatchPlace& place) {
  const auto header = parse_batch_header(batch);
  REQUIRE(header);
  stamp_batch(batch, *header, place);
  return batch;
}

// Writes the header's checksum anew, as an attacker would who knows the format.
void reseal(Bytes& batch) {
  const auto segment_id = load_le<std::uint64_t>(batch.data() + layout::segment_id_at);
  const Offset base{load_le<std::uint64_t>(batch.data() + layout::base_offset_at)};
  store_le(batch.data() + layout::header_crc_at,
           crc32c(ByteView(batch).first(layout::header_crc_at)) ^ batch_seed(segment_id, base));
}

template <class T>
Errc parsed_with(std::size_t at, T value) {
  Bytes batch = test::make_batch("payload");
  store_le(batch.data() + at, value);
  reseal(batch);
  const auto header = parse_batch_header(batch);
  return header ? Errc::ok : header.error().code;
}

// Bit by bit, the definition of CRC32C.
std::uint32_t naive_crc(ByteView bytes) {
  std::uint32_t crc = 0xFFFFFFFF;
  for (const auto b : bytes) {
    crc ^= static_cast<std::uint32_t>(b);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82F63B78u : 0);
  }
  return ~crc;
}

}  // namespace

TEST_CASE("a sealed header has exactly the documented bytes") {
  Bytes batch(layout::header_bytes + 8);
  std::memcpy(batch.data() + layout::header_bytes, "12345678", 8);
  BatchDraft draft;
  draft.raw_bytes = 8;
  draft.event_count = 3;
  draft.max_event_time = WallTime{0x0102030405060708};
  draft.producer_id = 0x1112131415161718;
  draft.producer_epoch = 0x21222324;
  draft.sequence = 0x3132333435363738;
  seal_batch(batch, draft);
  const std::uint8_t golden[88] = {
      0x4D, 0x52, 0x42, 0x31, 1,    0,    0,    0,     // "MRB1", version, codec, flags
      8,    0,    0,    0,    8,    0,    0,    0,     // body bytes, raw bytes
      3,    0,    0,    0,    0,    0,    0,    0,     // events, leader epoch
      0,    0,    0,    0,    0,    0,    0,    0,     // base offset
      0,    0,    0,    0,    0,    0,    0,    0,     // append time
      0x08, 0x07, 0x06, 0x05, 0x04, 0x03, 0x02, 0x01,  // max event time
      0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11,  // producer id
      0x38, 0x37, 0x36, 0x35, 0x34, 0x33, 0x32, 0x31,  // sequence
      0x24, 0x23, 0x22, 0x21, 0,    0,    0,    0,     // producer epoch, position
      0,    0,    0,    0,    0,    0,    0,    0,     // segment id
      0,    0,    0,    0,    0,    0,    0,    0,     // previous crc, durable position
  };
  REQUIRE(std::memcmp(batch.data(), golden, sizeof golden) == 0);
  const Bytes sixteen_zeros(16);
  const std::uint32_t seed = naive_crc(sixteen_zeros);
  REQUIRE(load_le<std::uint32_t>(batch.data() + 88) == (naive_crc(as_bytes("12345678")) ^ seed));
  REQUIRE(load_le<std::uint32_t>(batch.data() + 92) ==
          (naive_crc(ByteView(batch).first(92)) ^ seed));
}

TEST_CASE("a stamped header has its place where the page says") {
  const Bytes batch = stamped(test::make_batch("payload"), sample_place());
  const std::byte* at = batch.data();
  REQUIRE(load_le<std::uint32_t>(at + 20) == 7);
  REQUIRE(load_le<std::uint64_t>(at + 24) == 1000);
  REQUIRE(load_le<std::int64_t>(at + 32) == 1'700'000'000'000'000'123);
  REQUIRE(load_le<std::uint32_t>(at + 68) == 8192);
  REQUIRE(load_le<std::uint64_t>(at + 72) == 0x1122334455667788);
  REQUIRE(load_le<std::uint32_t>(at + 80) == 0xAABBCCDD);
  REQUIRE(load_le<std::uint32_t>(at + 84) == 4096);
  Bytes place(16);
  store_le(place.data(), std::uint64_t{0x1122334455667788});
  store_le(place.data() + 8, std::uint64_t{1000});
  const std::uint32_t seed = naive_crc(place);
  REQUIRE(load_le<std::uint32_t>(at + 88) == (naive_crc(ByteView(batch).subspan(96)) ^ seed));
  REQUIRE(load_le<std::uint32_t>(at + 92) == (naive_crc(ByteView(batch).first(92)) ^ seed));
}

TEST_CASE("a batch is parsed to what its producer and its broker said") {
  test::TestSession session;
  session.producer_id = 42;
  session.epoch = 3;
  session.sequence = 99;
  const std::vector<test::TestEvent> events{{"k", "one"}, {"", ""}, {"kk", "three"}};
  const Bytes batch = stamped(test::make_batch(events, session), sample_place());
  const auto view = BatchView::parse(batch);
  REQUIRE(view);
  REQUIRE(view->header().event_count == 3);
  REQUIRE(view->header().range() == OffsetRange{Offset{1000}, Offset{1003}});
  REQUIRE(view->header().producer_id == 42);
  REQUIRE(view->header().producer_epoch == 3);
  REQUIRE(view->header().sequence == 99);
  REQUIRE(view->header().position == 8192);
  REQUIRE(view->bytes().size() == batch.size());
  REQUIRE(test::events_of(*view) == events);
}

TEST_CASE("every flipped bit of a batch is refused") {
  for (const bool placed : {false, true}) {
    Bytes batch = test::make_batch("some payload that is long enough to matter");
    if (placed) batch = stamped(batch, sample_place());
    for (std::size_t at = 0; at < batch.size(); ++at) {
      for (unsigned bit = 0; bit < 8; ++bit) {
        INFO("byte " << at << " bit " << bit);
        REQUIRE_FALSE(
            BatchView::parse(test::flipped(batch, at, static_cast<std::uint8_t>(1u << bit))));
      }
    }
  }
}

TEST_CASE("every truncation of a batch is refused") {
  const Bytes batch = stamped(test::make_batch("some payload"), sample_place());
  for (std::size_t bytes = 0; bytes < batch.size(); ++bytes) {
    const Bytes cut(batch.begin(), batch.begin() + static_cast<std::ptrdiff_t>(bytes));
    INFO(bytes);
    REQUIRE(BatchView::parse(cut).error().code == Errc::corrupt);
  }
}

TEST_CASE("ST-02 zeros never parse as a batch, whatever their number") {
  for (const std::size_t bytes : {0u, 8u, 95u, 96u, 97u, 104u, 4096u}) {
    REQUIRE_FALSE(parse_batch_header(Bytes(bytes)));
    REQUIRE_FALSE(BatchView::parse(Bytes(bytes)));
  }
  // Even with a magic in front, a header of zeros with a body of no bytes does not verify.
  Bytes zeros(4096);
  store_le(zeros.data(), layout::magic);
  REQUIRE_FALSE(parse_batch_header(zeros));
}

TEST_CASE("ST-03 a batch of another place does not verify there") {
  const Bytes batch = stamped(test::make_batch("payload"), sample_place());
  Bytes moved = batch;
  store_le(moved.data() + layout::base_offset_at, std::uint64_t{1001});
  REQUIRE_FALSE(BatchView::parse(moved));
  moved = batch;
  store_le(moved.data() + layout::segment_id_at, std::uint64_t{0x1122334455667789});
  REQUIRE_FALSE(BatchView::parse(moved));
  // A body is bound to its place too: another batch's header over it is refused, same payload
  // length or not.
  auto other_place = sample_place();
  other_place.base_offset = Offset{1001};
  const Bytes other = stamped(test::make_batch("payload"), other_place);
  moved = other;
  std::memcpy(moved.data() + layout::header_bytes,
              test::make_batch("pAyload").data() + layout::header_bytes,
              moved.size() - layout::header_bytes);
  REQUIRE_FALSE(BatchView::parse(moved));
}

TEST_CASE("stamping again moves a batch and keeps its payload's identity") {
  Bytes batch = test::make_batch("payload");
  const auto first = parse_batch_header(batch);
  const auto sum = body_checksum(*first);
  batch = stamped(batch, sample_place());
  auto place = sample_place();
  place.base_offset = Offset{5};
  place.segment_id = 77;
  batch = stamped(batch, place);
  const auto view = BatchView::parse(batch);
  REQUIRE(view);
  REQUIRE(body_checksum(view->header()) == sum);
  REQUIRE(view->header().base_offset == Offset{5});
}

TEST_CASE("stamping does not bless a body that changed after it was verified") {
  Bytes batch = test::make_batch("payload");
  const auto header = parse_batch_header(batch);
  batch.back() ^= std::byte{1};
  stamp_batch(batch, *header, sample_place());
  REQUIRE(parse_batch_header(batch));
  REQUIRE_FALSE(BatchView::parse(batch));
}

TEST_CASE("ST-06 lengths and counts that lie are refused even under a valid checksum") {
  REQUIRE(parsed_with(layout::body_bytes_at, std::uint32_t{0}) == Errc::corrupt);
  REQUIRE(parsed_with(layout::body_bytes_at, layout::body_bytes_limit + 1) == Errc::corrupt);
  REQUIRE(parsed_with(layout::body_bytes_at, std::uint32_t{0xFFFFFFFF}) == Errc::corrupt);
  REQUIRE(parsed_with(layout::raw_bytes_at, std::uint32_t{0}) == Errc::corrupt);
  REQUIRE(parsed_with(layout::raw_bytes_at, std::uint32_t{0xFFFFFFFF}) == Errc::corrupt);
  REQUIRE(parsed_with(layout::raw_bytes_at, std::uint32_t{12345}) == Errc::corrupt);
  REQUIRE(parsed_with(layout::event_count_at, std::uint32_t{0}) == Errc::corrupt);
  REQUIRE(parsed_with(layout::event_count_at, layout::event_count_limit + 1) == Errc::corrupt);
  REQUIRE(parsed_with(layout::base_offset_at, offset_max.value) == Errc::ok);
  REQUIRE(parsed_with(layout::base_offset_at, offset_max.value + 1) == Errc::corrupt);
  REQUIRE(parsed_with(layout::base_offset_at, UINT64_MAX) == Errc::corrupt);
}

TEST_CASE("ST-06 a body length beyond the bytes at hand is refused, not read") {
  Bytes batch = test::make_batch("payload");
  store_le(batch.data() + layout::body_bytes_at, layout::body_bytes_limit);
  store_le(batch.data() + layout::raw_bytes_at, layout::body_bytes_limit);
  reseal(batch);
  REQUIRE(parse_batch_header(batch));
  REQUIRE(BatchView::parse(batch).error().code == Errc::corrupt);
}

TEST_CASE("a newer version, unknown codec or reserved flag is unsupported, not corrupt") {
  REQUIRE(parsed_with(layout::version_at, std::uint8_t{2}) == Errc::unsupported);
  REQUIRE(parsed_with(layout::codec_at, std::uint8_t{3}) == Errc::unsupported);
  REQUIRE(parsed_with(layout::flags_at, std::uint16_t{1}) == Errc::unsupported);
  REQUIRE(parsed_with(layout::flags_at, std::uint16_t{0x8000}) == Errc::unsupported);
}

TEST_CASE("a compressed body may not claim to grow beyond the ratio's limit") {
  Bytes batch = test::make_batch("payload");
  const auto body = static_cast<std::uint32_t>(batch.size() - layout::header_bytes);
  store_le(batch.data() + layout::codec_at, std::uint8_t{1});
  store_le(batch.data() + layout::raw_bytes_at, body * layout::compression_ratio_limit);
  reseal(batch);
  REQUIRE(parse_batch_header(batch));
  store_le(batch.data() + layout::raw_bytes_at, (body * layout::compression_ratio_limit) + 1);
  reseal(batch);
  REQUIRE(parse_batch_header(batch).error().code == Errc::corrupt);
}

TEST_CASE("random bytes are refused") {
  Random random(5);
  for (int i = 0; i < 2000; ++i) {
    Bytes bytes = test::random_bytes(random, random.below(300));
    if (bytes.size() >= 4 && random.chance(1, 2)) store_le(bytes.data(), layout::magic);
    REQUIRE_FALSE(BatchView::parse(bytes));
  }
}

TEST_CASE("a cursor walks batches over the zeros between commits") {
  Bytes bytes;
  const auto add = [&](std::string_view payload, std::size_t align) {
    const Bytes batch = test::make_batch(payload);
    bytes.insert(bytes.end(), batch.begin(), batch.end());
    bytes.resize(align_up(bytes.size(), align));
  };
  add("one", 8);
  add("two!", 4096);
  add("three", 4096);
  bytes.resize(bytes.size() + 4096);
  add("four", 1);
  BatchCursor cursor(bytes);
  for (const auto* expected : {"one", "two!", "three", "four"}) {
    const auto batch = cursor.next();
    REQUIRE(batch);
    REQUIRE(test::events_of(*batch).at(0).payload == expected);
  }
  REQUIRE(cursor.next().error().code == Errc::not_found);
  REQUIRE(cursor.next().error().code == Errc::not_found);
}

TEST_CASE("a cursor over nothing, or zeros alone, is at its end") {
  REQUIRE(BatchCursor({}).next().error().code == Errc::not_found);
  const Bytes zeros(4096);
  REQUIRE(BatchCursor(zeros).next().error().code == Errc::not_found);
}

TEST_CASE("a cursor stops with corrupt at bytes that are no batch") {
  Bytes bytes = test::make_batch("one");
  bytes.resize(align_up(bytes.size(), 8));
  const std::size_t second = bytes.size();
  const Bytes next = test::make_batch("two");
  bytes.insert(bytes.end(), next.begin(), next.end());
  bytes[second + 100] ^= std::byte{4};
  BatchCursor cursor(bytes);
  REQUIRE(cursor.next());
  REQUIRE(cursor.next().error().code == Errc::corrupt);
}

TEST_CASE("codecs have names") {
  REQUIRE(codec_name(Codec::none) == "none");
  REQUIRE(codec_name(Codec::zstd) == "zstd");
  REQUIRE(codec_name(Codec::lz4) == "lz4");
}
