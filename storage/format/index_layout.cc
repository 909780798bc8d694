#include "storage/format/index_layout.h"

#include "storage/base/check.h"
#include "storage/base/crc32c.h"

namespace millrace {

namespace layout = index_layout;

namespace {

constexpr std::size_t crc_at = 60;

std::uint32_t sum(ByteView all) {
  return crc32c_extend(crc32c(all.first(crc_at)), all.subspan(layout::header_bytes));
}

// Lookups are binary searches; an order that a checksum cannot vouch for would send them astray.
bool rises(const IndexFile& index) {
  for (std::size_t i = 1; i < index.entries.size(); ++i) {
    if (index.entries[i].offset <= index.entries[i - 1].offset) return false;
    if (index.entries[i].position <= index.entries[i - 1].position) return false;
  }
  return true;
}

}  // namespace

std::vector<std::byte> encode_index(const IndexFile& index) {
  CHECK(index.entries.size() <= layout::entries_limit, "an index has a limit");
  std::vector<std::byte> out(layout::header_bytes + index.entries.size() * layout::entry_bytes);
  std::byte* at = out.data();
  store_le(at, layout::magic);
  store_le(at + 8, layout::format_version);
  store_le(at + 12, static_cast<std::uint32_t>(index.entries.size()));
  store_le(at + 16, index.segment_id);
  store_le(at + 24, index.base_offset.value);
  store_le(at + 32, index.end_offset.value);
  store_le(at + 40, index.end_position.value);
  store_le(at + 48, index.last_append_time.ns);
  store_le(at + 56, index.last_crc);
  std::byte* entry = at + layout::header_bytes;
  for (const IndexEntry& e : index.entries) {
    store_le(entry, e.offset.value);
    store_le(entry + 8, e.position.value);
    store_le(entry + 16, e.append_time.ns);
    entry += layout::entry_bytes;
  }
  store_le(at + crc_at, sum(out));
  return out;
}

Result<IndexFile> decode_index(ByteView bytes) {
  if (bytes.size() < layout::header_bytes) return fail(Errc::corrupt, "index cut short");
  const std::byte* at = bytes.data();
  if (load_le<std::uint64_t>(at) != layout::magic)
    return fail(Errc::corrupt, "not an index: wrong magic");
  const auto count = load_le<std::uint32_t>(at + 12);
  if (count > layout::entries_limit ||
      bytes.size() < layout::header_bytes + std::size_t{count} * layout::entry_bytes)
    return fail(Errc::corrupt, "index cut short");
  bytes = bytes.first(layout::header_bytes + std::size_t{count} * layout::entry_bytes);
  if (sum(bytes) != load_le<std::uint32_t>(at + crc_at))
    return fail(Errc::corrupt, "index checksum is wrong");
  if (load_le<std::uint32_t>(at + 8) != layout::format_version)
    return fail(Errc::unsupported, "index of another format version");
  IndexFile index;
  index.segment_id = load_le<std::uint64_t>(at + 16);
  index.base_offset.value = load_le<std::uint64_t>(at + 24);
  index.end_offset.value = load_le<std::uint64_t>(at + 32);
  index.end_position.value = load_le<std::uint64_t>(at + 40);
  index.last_append_time.ns = load_le<std::int64_t>(at + 48);
  index.last_crc = load_le<std::uint32_t>(at + 56);
  index.entries.reserve(count);
  for (const std::byte* entry = at + layout::header_bytes; index.entries.size() < count;
       entry += layout::entry_bytes) {
    index.entries.push_back({Offset{load_le<std::uint64_t>(entry)},
                             Position{load_le<std::uint64_t>(entry + 8)},
                             WallTime{load_le<std::int64_t>(entry + 16)}});
  }
  if (!rises(index)) return fail(Errc::corrupt, "index entries do not rise");
  return index;
}

}  // namespace millrace
