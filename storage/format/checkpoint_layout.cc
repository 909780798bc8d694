#include "storage/format/checkpoint_layout.h"

#include "storage/base/check.h"
#include "storage/base/crc32c.h"

#include <cstring>

namespace millrace {

namespace layout = checkpoint_layout;

namespace {

constexpr std::size_t producer_bytes = 16;
constexpr std::size_t batch_bytes = 32;
constexpr std::size_t crc_from = 16;

std::size_t body_size(const Checkpoint& c) {
  std::size_t size = layout::header_bytes;
  for (const auto& p : c.producers) size += producer_bytes + p.batches.size() * batch_bytes;
  return size;
}

}  // namespace

std::vector<std::byte> encode_checkpoint(const Checkpoint& c) {
  CHECK(c.producers.size() <= layout::producers_limit, "producer states are bounded");
  const std::size_t body = body_size(c);
  CHECK(body <= layout::slot_bytes, "a checkpoint fits its slot");
  std::vector<std::byte> out(align_up(body, 4096));
  std::byte* at = out.data();
  store_le(at, layout::magic);
  store_le(at + 8, layout::format_version);
  store_le(at + 16, static_cast<std::uint32_t>(body));
  store_le(at + 24, c.generation);
  std::memcpy(at + 32, c.topic_id.bytes.data(), 16);
  store_le(at + 48, c.partition);
  store_le(at + 52, c.clean ? layout::flag_clean : 0u);
  store_le(at + 56, c.start_offset.value);
  store_le(at + 64, c.durable_end.value);
  store_le(at + 72, c.segment_base.value);
  store_le(at + 80, c.segment_id);
  store_le(at + 88, c.scan_position.value);
  store_le(at + 96, c.last_append_time.ns);
  store_le(at + 104, c.last_crc);
  store_le(at + 108, static_cast<std::uint32_t>(c.producers.size()));
  std::byte* next = at + layout::header_bytes;
  for (const auto& p : c.producers) {
    CHECK(p.batches.size() <= layout::batches_limit, "a producer's window is bounded");
    store_le(next, p.producer_id);
    store_le(next + 8, p.epoch);
    store_le(next + 12, static_cast<std::uint32_t>(p.batches.size()));
    next += producer_bytes;
    for (const auto& b : p.batches) {
      store_le(next, b.sequence);
      store_le(next + 8, b.event_count);
      store_le(next + 12, b.body_checksum);
      store_le(next + 16, b.base_offset.value);
      store_le(next + 24, b.append_time.ns);
      next += batch_bytes;
    }
  }
  store_le(at + 12, crc32c(ByteView(out).subspan(crc_from, body - crc_from)));
  return out;
}

Result<Checkpoint> decode_checkpoint(ByteView slot) {
  if (slot.size() < layout::header_bytes) return fail(Errc::corrupt, "checkpoint cut short");
  const std::byte* at = slot.data();
  if (load_le<std::uint64_t>(at) != layout::magic) return fail(Errc::corrupt, "no checkpoint here");
  const std::size_t body = load_le<std::uint32_t>(at + 16);
  if (body < layout::header_bytes || body > slot.size() || body > layout::slot_bytes)
    return fail(Errc::corrupt, "checkpoint length outside its limit");
  if (crc32c(slot.subspan(crc_from, body - crc_from)) != load_le<std::uint32_t>(at + 12))
    return fail(Errc::corrupt, "checkpoint checksum is wrong");
  if (load_le<std::uint32_t>(at + 8) != layout::format_version)
    return fail(Errc::unsupported, "checkpoint of another format version");
  Checkpoint c;
  c.generation = load_le<std::uint64_t>(at + 24);
  std::memcpy(c.topic_id.bytes.data(), at + 32, 16);
  c.partition = load_le<std::uint32_t>(at + 48);
  c.clean = (load_le<std::uint32_t>(at + 52) & layout::flag_clean) != 0;
  c.start_offset.value = load_le<std::uint64_t>(at + 56);
  c.durable_end.value = load_le<std::uint64_t>(at + 64);
  c.segment_base.value = load_le<std::uint64_t>(at + 72);
  c.segment_id = load_le<std::uint64_t>(at + 80);
  c.scan_position.value = load_le<std::uint64_t>(at + 88);
  c.last_append_time.ns = load_le<std::int64_t>(at + 96);
  c.last_crc = load_le<std::uint32_t>(at + 104);
  if (c.start_offset > c.durable_end || c.durable_end > offset_max)
    return fail(Errc::corrupt, "checkpoint holds impossible offsets");
  const auto producers = load_le<std::uint32_t>(at + 108);
  if (producers > layout::producers_limit)
    return fail(Errc::corrupt, "checkpoint holds more producer sessions than its limit");
  ByteView rest = slot.first(body).subspan(layout::header_bytes);
  for (std::uint32_t i = 0; i < producers; ++i) {
    if (rest.size() < producer_bytes) return fail(Errc::corrupt, "checkpoint cut short");
    CheckpointProducer p;
    p.producer_id = load_le<std::uint64_t>(rest.data());
    p.epoch = load_le<std::uint32_t>(rest.data() + 8);
    const auto batches = load_le<std::uint32_t>(rest.data() + 12);
    rest = rest.subspan(producer_bytes);
    if (batches > layout::batches_limit || rest.size() < batches * batch_bytes)
      return fail(Errc::corrupt, "checkpoint cut short");
    for (std::uint32_t b = 0; b < batches; ++b, rest = rest.subspan(batch_bytes)) {
      p.batches.push_back({load_le<std::uint64_t>(rest.data()),
                           load_le<std::uint32_t>(rest.data() + 8),
                           load_le<std::uint32_t>(rest.data() + 12),
                           Offset{load_le<std::uint64_t>(rest.data() + 16)},
                           WallTime{load_le<std::int64_t>(rest.data() + 24)}});
    }
    c.producers.push_back(std::move(p));
  }
  return c;
}

}  // namespace millrace
