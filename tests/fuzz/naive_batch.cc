#include "tests/fuzz/naive_batch.h"

#include "batch_generated.h"

#include <algorithm>
#include <array>

namespace millrace::fuzz {
namespace {

std::uint64_t number(ByteView bytes, std::size_t at, std::size_t width) {
  std::uint64_t out = 0;
  for (std::size_t i = width; i-- > 0;) out = out << 8 | static_cast<std::uint64_t>(bytes[at + i]);
  return out;
}

std::uint32_t u32(ByteView bytes, std::size_t at) {
  return static_cast<std::uint32_t>(number(bytes, at, 4));
}

bool all_zero(ByteView bytes) {
  return std::count(bytes.begin(), bytes.end(), std::byte{0}) ==
         static_cast<std::ptrdiff_t>(bytes.size());
}

std::string text(ByteView bytes) { return std::string(as_text(bytes)); }

bool whole_headers(ByteView entries) {
  std::size_t at = 0;
  while (at < entries.size()) {
    if (entries.size() - at < 8) return false;
    const std::uint64_t name = u32(entries, at), value = u32(entries, at + 4);
    if (name == 0 || name + value > entries.size() - at - 8) return false;
    at += 8 + name + value;
  }
  return true;
}

// Begin and end of each event in a column; nothing if they do not fall into place.
std::optional<std::vector<std::pair<std::uint64_t, std::uint64_t>>> ranges(
    const flatbuffers::Vector<std::uint32_t>* ends, std::uint64_t bytes, std::uint32_t count,
    std::uint64_t step) {
  std::vector<std::pair<std::uint64_t, std::uint64_t>> out;
  if (ends == nullptr || ends->size() != count) return std::nullopt;
  std::uint64_t begin = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint64_t end = ends->Get(i);
    if (end < begin || end > bytes) return std::nullopt;
    out.emplace_back(begin, end);
    begin = (end + step - 1) / step * step;
  }
  if (out.back().second != bytes) return std::nullopt;
  return out;
}

// Of a batch's checksums: of the two fields as they lie there.
std::uint32_t seed_of(ByteView header) {
  return naive_crc32c({header.subspan(72, 8), header.subspan(24, 8)});
}

ByteView view(const flatbuffers::Vector<std::uint8_t>* bytes) {
  return {reinterpret_cast<const std::byte*>(bytes->Data()), bytes->size()};
}

}  // namespace

std::uint32_t naive_crc32c(const std::vector<ByteView>& parts) {
  static const auto of_byte = [] {
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
      std::uint32_t crc = byte;
      for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82F63B78u : 0);
      table[byte] = crc;
    }
    return table;
  }();
  std::uint32_t crc = 0xFFFFFFFF;
  for (const ByteView part : parts) {
    for (const std::byte byte : part)
      crc = (crc >> 8) ^ of_byte[(crc ^ static_cast<std::uint32_t>(byte)) & 0xFF];
  }
  return crc ^ 0xFFFFFFFF;
}

std::optional<NaiveBatch> naive_header(ByteView bytes) {
  if (bytes.size() < 96 || as_text(bytes.first(4)) != "MRB1") return std::nullopt;
  NaiveBatch batch;
  batch.codec = static_cast<std::uint8_t>(bytes[5]);
  batch.body_bytes = u32(bytes, 8);
  batch.raw_bytes = u32(bytes, 12);
  batch.event_count = u32(bytes, 16);
  batch.base_offset = number(bytes, 24, 8);
  batch.position = u32(bytes, 68);
  batch.segment_id = number(bytes, 72, 8);
  batch.previous_crc = u32(bytes, 80);
  batch.durable_position = u32(bytes, 84);
  batch.header_crc = u32(bytes, 92);
  if ((naive_crc32c({bytes.first(92)}) ^ seed_of(bytes)) != batch.header_crc) return std::nullopt;
  constexpr std::uint64_t mib = 1 << 20;
  if (static_cast<std::uint8_t>(bytes[4]) != 1 || number(bytes, 6, 2) != 0 || batch.codec > 2 ||
      batch.body_bytes < 1 || batch.body_bytes > 64 * mib || batch.raw_bytes < 1 ||
      batch.raw_bytes > 64 * mib || batch.event_count < 1 || batch.event_count > 4'194'304 ||
      batch.base_offset >= std::uint64_t{1} << 62)
    return std::nullopt;
  if (batch.codec == 0 && batch.raw_bytes != batch.body_bytes) return std::nullopt;
  if (batch.raw_bytes > std::uint64_t{1'024} * batch.body_bytes) return std::nullopt;
  return batch;
}

std::optional<NaiveBatch> naive_batch(ByteView bytes) {
  auto batch = naive_header(bytes);
  if (!batch || bytes.size() - 96 < batch->body_bytes) return std::nullopt;
  batch->body = bytes.subspan(96, batch->body_bytes);
  if ((naive_crc32c({batch->body}) ^ seed_of(bytes)) != u32(bytes, 88)) return std::nullopt;
  return batch;
}

std::optional<std::vector<NaiveEvent>> naive_events(ByteView body, std::uint32_t event_count) {
  const auto* data = reinterpret_cast<const std::uint8_t*>(body.data());
  flatbuffers::Verifier verifier(data, body.size());
  if (body.size() < 16 || !wire::VerifyBatchBodyBuffer(verifier)) return std::nullopt;
  const wire::BatchBody& columns = *wire::GetBatchBody(data);
  const auto payloads = ranges(columns.payload_ends(), columns.payloads()->size(), event_count, 8);
  const bool has_keys = columns.keys() != nullptr, has_headers = columns.headers() != nullptr;
  if (!payloads || has_keys != (columns.key_ends() != nullptr) ||
      has_headers != (columns.header_ends() != nullptr))
    return std::nullopt;
  if (columns.payloads()->size() > 0 && (columns.payloads()->Data() - data) % 8 != 0)
    return std::nullopt;
  std::vector<NaiveEvent> events(event_count);
  const auto take = [&](const auto* bytes, const auto& places, std::string NaiveEvent::* field) {
    if (!places) return false;
    for (std::size_t i = 0; i < events.size(); ++i) {
      const auto [begin, end] = (*places)[i];
      events[i].*field = text(view(bytes).subspan(begin, end - begin));
    }
    return true;
  };
  take(columns.payloads(), payloads, &NaiveEvent::payload);
  if (has_keys &&
      !take(columns.keys(), ranges(columns.key_ends(), columns.keys()->size(), event_count, 1),
            &NaiveEvent::key))
    return std::nullopt;
  if (has_headers && !take(columns.headers(),
                           ranges(columns.header_ends(), columns.headers()->size(), event_count, 1),
                           &NaiveEvent::headers))
    return std::nullopt;
  for (const NaiveEvent& event : events) {
    if (!whole_headers(as_bytes(event.headers))) return std::nullopt;
  }
  const auto* deltas = columns.time_deltas();
  if (deltas != nullptr && deltas->size() != event_count) return std::nullopt;
  for (std::uint32_t i = 0; i < event_count; ++i) {
    std::int64_t delta = 0;
    if (deltas != nullptr) std::memcpy(&delta, deltas->Data() + std::size_t{i} * 8, 8);
    events[i].time = static_cast<std::int64_t>(static_cast<std::uint64_t>(columns.base_time()) +
                                               static_cast<std::uint64_t>(delta));
  }
  return events;
}

std::vector<NaivePlace> naive_walk(ByteView file, std::uint64_t segment_id,
                                   std::uint64_t base_offset, std::uint32_t previous_crc) {
  std::vector<NaivePlace> out;
  std::uint64_t at = 4096;
  while (at < file.size()) {
    std::uint64_t next = at;
    const std::uint64_t boundary = (at + 4095) / 4096 * 4096;
    // Zeros up to the next block, or up to the end of the file.
    if (boundary <= file.size() && all_zero(file.subspan(at, boundary - at))) next = boundary;
    if (next >= file.size()) break;
    const auto batch = naive_batch(file.subspan(next));
    if (!batch || batch->segment_id != segment_id || batch->position != next ||
        batch->base_offset != base_offset || batch->previous_crc != previous_crc ||
        batch->durable_position > next)
      break;
    out.push_back({next, *batch});
    base_offset += batch->event_count;
    previous_crc = batch->header_crc;
    at = (next + batch->bytes() + 7) / 8 * 8;
  }
  return out;
}

}  // namespace millrace::fuzz
