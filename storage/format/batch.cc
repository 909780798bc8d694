#include "storage/format/batch.h"

#include "storage/base/check.h"
#include "storage/base/crc32c.h"

#include <algorithm>
#include <array>

namespace millrace {

namespace layout = batch_layout;

std::string_view codec_name(Codec codec) {
  switch (codec) {
    case Codec::none: return "none";
    case Codec::zstd: return "zstd";
    case Codec::lz4: return "lz4";
  }
  return "unknown";
}

std::uint32_t batch_seed(std::uint64_t segment_id, Offset base_offset) {
  std::array<std::byte, 16> place;
  store_le(place.data(), segment_id);
  store_le(place.data() + 8, base_offset.value);
  return crc32c(place);
}

namespace {

BatchHeader decode(const std::byte* at) {
  BatchHeader h;
  h.codec = static_cast<Codec>(load_le<std::uint8_t>(at + layout::codec_at));
  h.body_bytes = load_le<std::uint32_t>(at + layout::body_bytes_at);
  h.raw_bytes = load_le<std::uint32_t>(at + layout::raw_bytes_at);
  h.event_count = load_le<std::uint32_t>(at + layout::event_count_at);
  h.leader_epoch.value = load_le<std::uint32_t>(at + layout::leader_epoch_at);
  h.base_offset.value = load_le<std::uint64_t>(at + layout::base_offset_at);
  h.append_time.ns = load_le<std::int64_t>(at + layout::append_time_at);
  h.max_event_time.ns = load_le<std::int64_t>(at + layout::max_event_time_at);
  h.producer_id = load_le<std::uint64_t>(at + layout::producer_id_at);
  h.sequence = load_le<std::uint64_t>(at + layout::sequence_at);
  h.producer_epoch = load_le<std::uint32_t>(at + layout::producer_epoch_at);
  h.position = load_le<std::uint32_t>(at + layout::position_at);
  h.segment_id = load_le<std::uint64_t>(at + layout::segment_id_at);
  h.previous_crc = load_le<std::uint32_t>(at + layout::previous_crc_at);
  h.durable_position = load_le<std::uint32_t>(at + layout::durable_position_at);
  h.body_crc = load_le<std::uint32_t>(at + layout::body_crc_at);
  h.header_crc = load_le<std::uint32_t>(at + layout::header_crc_at);
  return h;
}

std::uint32_t header_sum(ByteView header, std::uint32_t seed) {
  return crc32c(header.first(layout::header_crc_at)) ^ seed;
}

// Limits that hold for every batch, wherever it lies.
Result<void> check_limits(const BatchHeader& h) {
  if (h.body_bytes == 0 || h.body_bytes > layout::body_bytes_limit)
    return fail(Errc::corrupt, "body length outside its limit");
  if (h.raw_bytes == 0 || h.raw_bytes > layout::body_bytes_limit)
    return fail(Errc::corrupt, "decompressed length outside its limit");
  if (h.event_count == 0 || h.event_count > layout::event_count_limit)
    return fail(Errc::corrupt, "event count outside its limit");
  if (h.base_offset > offset_max) return fail(Errc::corrupt, "base offset outside its limit");
  if (h.codec == Codec::none && h.raw_bytes != h.body_bytes)
    return fail(Errc::corrupt, "an uncompressed body has two lengths");
  if (h.raw_bytes > std::uint64_t{layout::compression_ratio_limit} * h.body_bytes)
    return fail(Errc::corrupt, "claimed compression ratio above its limit");
  return {};
}

}  // namespace

Result<BatchHeader> parse_batch_header(ByteView bytes) {
  if (bytes.size() < layout::header_bytes) return fail(Errc::corrupt, "batch header cut short");
  if (load_le<std::uint32_t>(bytes.data() + layout::magic_at) != layout::magic)
    return fail(Errc::corrupt, "no batch begins here");
  const BatchHeader h = decode(bytes.data());
  if (header_sum(bytes, batch_seed(h.segment_id, h.base_offset)) != h.header_crc)
    return fail(Errc::corrupt, "batch header checksum is wrong");
  if (load_le<std::uint8_t>(bytes.data() + layout::version_at) != layout::format_version)
    return fail(Errc::unsupported, "batch of another format version");
  if (load_le<std::uint16_t>(bytes.data() + layout::flags_at) != 0)
    return fail(Errc::unsupported, "reserved batch flags are set");
  if (h.codec > Codec::lz4) return fail(Errc::unsupported, "unknown batch codec");
  if (auto ok = check_limits(h); !ok) return fail(ok.error());
  return h;
}

Result<BatchView> BatchView::parse(ByteView bytes) {
  auto header = parse_batch_header(bytes);
  if (!header) return fail(header.error());
  if (bytes.size() < header->batch_bytes()) return fail(Errc::corrupt, "batch body cut short");
  const BatchView view(*header, bytes.first(header->batch_bytes()));
  if (crc32c(view.body()) != body_checksum(*header))
    return fail(Errc::corrupt, "batch body checksum is wrong");
  return view;
}

BatchView BatchView::trusted(const BatchHeader& header, ByteView bytes) {
  CHECK(bytes.size() >= header.batch_bytes(), "a trusted batch is whole");
  return {header, bytes.first(header.batch_bytes())};
}

BatchHeader stamp_batch(MutableBytes batch, const BatchHeader& header, const BatchPlace& place) {
  CHECK(batch.size() >= layout::header_bytes, "a header fits");
  const std::uint32_t seed = batch_seed(place.segment_id, place.base_offset);
  const std::uint32_t body_crc = body_checksum(header) ^ seed;
  std::byte* at = batch.data();
  store_le(at + layout::leader_epoch_at, place.leader_epoch.value);
  store_le(at + layout::base_offset_at, place.base_offset.value);
  store_le(at + layout::append_time_at, place.append_time.ns);
  store_le(at + layout::position_at, place.position);
  store_le(at + layout::segment_id_at, place.segment_id);
  store_le(at + layout::previous_crc_at, place.previous_crc);
  store_le(at + layout::durable_position_at, place.durable_position);
  store_le(at + layout::body_crc_at, body_crc);
  store_le(at + layout::header_crc_at, header_sum(batch, seed));
  return decode(at);
}

void seal_batch(MutableBytes batch, const BatchDraft& draft) {
  CHECK(batch.size() > layout::header_bytes, "a batch has a body");
  const ByteView body = ByteView(batch).subspan(layout::header_bytes);
  const std::uint32_t seed = batch_seed(0, Offset{0});
  std::byte* at = batch.data();
  std::fill_n(at, layout::header_bytes, std::byte{0});
  store_le(at + layout::magic_at, layout::magic);
  store_le(at + layout::version_at, layout::format_version);
  store_le(at + layout::codec_at, static_cast<std::uint8_t>(draft.codec));
  store_le(at + layout::body_bytes_at, static_cast<std::uint32_t>(body.size()));
  store_le(at + layout::raw_bytes_at, draft.raw_bytes);
  store_le(at + layout::event_count_at, draft.event_count);
  store_le(at + layout::max_event_time_at, draft.max_event_time.ns);
  store_le(at + layout::producer_id_at, draft.producer_id);
  store_le(at + layout::sequence_at, draft.sequence);
  store_le(at + layout::producer_epoch_at, draft.producer_epoch);
  store_le(at + layout::body_crc_at, crc32c(body) ^ seed);
  store_le(at + layout::header_crc_at, header_sum(batch, seed));
}

std::uint32_t body_checksum(const BatchHeader& header) {
  return header.body_crc ^ batch_seed(header.segment_id, header.base_offset);
}

Result<BatchView> BatchCursor::next() {
  // Zero words separate commits; a batch never begins with one because its magic is not zero.
  std::size_t skip = 0;
  while (skip + 8 <= rest_.size() && load_le<std::uint64_t>(rest_.data() + skip) == 0) skip += 8;
  rest_ = rest_.subspan(skip);
  if (rest_.size() < 8) {
    rest_ = {};
    return fail(Errc::not_found);
  }
  auto batch = BatchView::parse(rest_);
  if (!batch) return batch;
  rest_ = rest_.subspan(std::min(batch->header().padded_bytes(), rest_.size()));
  return batch;
}

}  // namespace millrace
