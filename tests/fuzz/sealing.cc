#include "tests/fuzz/sealing.h"

#include "storage/base/crc32c.h"
#include "storage/format/batch.h"
#include "storage/format/checkpoint_layout.h"
#include "storage/format/index_layout.h"
#include "storage/format/segment_layout.h"

#include <array>

namespace millrace::fuzz {

namespace layout = batch_layout;

bool seal_batch_header_again(MutableBytes bytes) {
  if (bytes.size() < layout::header_bytes) return false;
  std::byte* at = bytes.data();
  const std::uint32_t seed =
      batch_seed(load_le<std::uint64_t>(at + layout::segment_id_at),
                 Offset{load_le<std::uint64_t>(at + layout::base_offset_at)});
  store_le(at + layout::header_crc_at, crc32c(ByteView(bytes).first(layout::header_crc_at)) ^ seed);
  return true;
}

bool seal_batch_again(MutableBytes bytes) {
  if (bytes.size() <= layout::header_bytes) return false;
  std::byte* at = bytes.data();
  const std::size_t there = bytes.size() - layout::header_bytes;
  const std::size_t body =
      std::min<std::size_t>(load_le<std::uint32_t>(at + layout::body_bytes_at), there);
  const std::uint32_t seed =
      batch_seed(load_le<std::uint64_t>(at + layout::segment_id_at),
                 Offset{load_le<std::uint64_t>(at + layout::base_offset_at)});
  store_le(at + layout::body_crc_at,
           crc32c(ByteView(bytes).subspan(layout::header_bytes, body)) ^ seed);
  return seal_batch_header_again(bytes);
}

bool seal_segment_header_again(MutableBytes bytes) {
  if (bytes.size() < segment_layout::header_bytes) return false;
  store_le(bytes.data() + segment_layout::crc_at,
           crc32c(ByteView(bytes).first(segment_layout::crc_at)));
  return true;
}

bool seal_index_again(MutableBytes bytes) {
  constexpr std::size_t crc_at = 60, count_at = 12;
  if (bytes.size() < index_layout::header_bytes) return false;
  const std::size_t count = load_le<std::uint32_t>(bytes.data() + count_at);
  const std::size_t entries =
      std::min(count * index_layout::entry_bytes, bytes.size() - index_layout::header_bytes);
  const ByteView all(bytes);
  store_le(bytes.data() + crc_at, crc32c_extend(crc32c(all.first(crc_at)),
                                                all.subspan(index_layout::header_bytes, entries)));
  return true;
}

bool seal_checkpoint_again(MutableBytes slot) {
  constexpr std::size_t crc_at = 12, from = 16, length_at = 16;
  if (slot.size() < checkpoint_layout::header_bytes) return false;
  const std::size_t length =
      std::clamp<std::size_t>(load_le<std::uint32_t>(slot.data() + length_at), from, slot.size());
  store_le(slot.data() + crc_at, crc32c(ByteView(slot).subspan(from, length - from)));
  return true;
}

bool seal_topic_meta_again(MutableBytes file) {
  constexpr std::size_t length_at = 12, crc_at = 16, header_bytes = 32;
  if (file.size() < header_bytes) return false;
  const std::size_t length = std::min<std::size_t>(load_le<std::uint32_t>(file.data() + length_at),
                                                   file.size() - header_bytes);
  const ByteView all(file);
  store_le(file.data() + crc_at,
           crc32c_extend(crc32c(all.first(crc_at)), all.subspan(header_bytes, length)));
  return true;
}

std::vector<std::size_t> batch_places(ByteView bytes) {
  std::vector<std::size_t> out;
  for (std::size_t at = 0; at + layout::header_bytes <= bytes.size();
       at += layout::batch_alignment) {
    if (load_le<std::uint32_t>(bytes.data() + at) == layout::magic) out.push_back(at);
  }
  return out;
}

namespace {

constexpr std::array<std::size_t, 15> fields = {
    layout::version_at,     layout::codec_at,          layout::body_bytes_at,
    layout::raw_bytes_at,   layout::event_count_at,    layout::leader_epoch_at,
    layout::base_offset_at, layout::append_time_at,    layout::producer_id_at,
    layout::sequence_at,    layout::producer_epoch_at, layout::position_at,
    layout::segment_id_at,  layout::previous_crc_at,   layout::durable_position_at};

// Near what is there, or anything: the neighbours are the interesting ones.
void change_field(MutableBytes header, Random& random) {
  std::byte* at = header.data() + fields[random.below(fields.size())];
  auto value = load_le<std::uint32_t>(at);
  switch (random.below(5)) {
    case 0: value += 1; break;
    case 1: value -= 1; break;
    case 2: value ^= 1u << random.below(32); break;
    case 3: value += random.chance(1, 2) ? 4096u : ~4095u; break;
    default: value = static_cast<std::uint32_t>(random.next()); break;
  }
  store_le(at, value);
}

}  // namespace

void change_batch_in_place(MutableBytes bytes, Mutation& mutation) {
  Random& random = mutation.random;
  const auto places = batch_places(bytes);
  if (places.empty()) return mutation.change_in_place(bytes);
  const std::size_t place = places[random.below(places.size())];
  const MutableBytes batch = bytes.subspan(place);
  const std::size_t body =
      std::min<std::size_t>(load_le<std::uint32_t>(batch.data() + layout::body_bytes_at),
                            batch.size() - layout::header_bytes);
  switch (random.below(4)) {
    case 0: mutation.change_in_place(batch.first(layout::header_bytes)); break;
    case 1: change_field(batch, random); break;
    default: mutation.change_in_place(batch.subspan(layout::header_bytes, body)); break;
  }
  if (random.chance(7, 8)) {
    seal_batch_again(batch);
  } else if (random.chance(1, 2)) {
    seal_batch_header_again(batch);
  }
}

void shuffle_pieces(MutableBytes bytes, Random& random) {
  constexpr std::array<std::size_t, 3> units_of = {8, 512, 4096};
  const std::size_t unit = units_of[random.below(units_of.size())];
  const std::size_t count = bytes.size() / unit;
  if (count == 0) return;
  const std::size_t to = random.below(count), from = random.below(count);
  const std::size_t length = unit * (1 + random.below(count - std::max(from, to)));
  std::byte* data = bytes.data();
  switch (random.below(3)) {
    case 0: std::memmove(data + to * unit, data + from * unit, length); break;
    case 1: std::fill_n(data + to * unit, unit, std::byte{0}); break;
    default: {
      for (std::size_t i = 0; i < unit; ++i) std::swap(data[to * unit + i], data[from * unit + i]);
      break;
    }
  }
}

}  // namespace millrace::fuzz
