#include "storage/format/segment_layout.h"

#include "storage/base/check.h"
#include "storage/base/crc32c.h"

#include <algorithm>
#include <cstring>

namespace millrace {

namespace layout = segment_layout;

void encode_segment_header(const SegmentHeader& header, MutableBytes block) {
  CHECK(block.size() == layout::header_bytes, "a segment header fills one block");
  CHECK(header.topic_name.size() <= layout::topic_name_limit, "a topic name has a limit");
  std::byte* at = block.data();
  std::fill(block.begin(), block.end(), std::byte{0});
  store_le(at + layout::magic_at, layout::magic);
  store_le(at + layout::version_at, layout::format_version);
  store_le(at + layout::partition_at, header.partition);
  std::memcpy(at + layout::cluster_id_at, header.cluster_id.bytes.data(), 16);
  std::memcpy(at + layout::topic_id_at, header.topic_id.bytes.data(), 16);
  store_le(at + layout::base_offset_at, header.base_offset.value);
  store_le(at + layout::segment_id_at, header.segment_id);
  store_le(at + layout::created_at, header.created.ns);
  store_le(at + layout::previous_segment_id_at, header.previous_segment_id);
  store_le(at + layout::previous_base_offset_at, header.previous_base_offset.value);
  store_le(at + layout::previous_crc_at, header.previous_crc);
  store_le(at + layout::topic_name_bytes_at, static_cast<std::uint32_t>(header.topic_name.size()));
  std::memcpy(at + layout::topic_name_at, header.topic_name.data(), header.topic_name.size());
  store_le(at + layout::batch_bytes_max_at, header.batch_bytes_max);
  store_le(at + layout::crc_at, crc32c(ByteView(block).first(layout::crc_at)));
}

Result<SegmentHeader> decode_segment_header(ByteView block) {
  if (block.size() < layout::header_bytes) return fail(Errc::corrupt, "segment header cut short");
  const std::byte* at = block.data();
  if (load_le<std::uint64_t>(at + layout::magic_at) != layout::magic)
    return fail(Errc::corrupt, "not a segment: wrong magic");
  if (crc32c(block.first(layout::crc_at)) != load_le<std::uint32_t>(at + layout::crc_at))
    return fail(Errc::corrupt, "segment header checksum is wrong");
  if (load_le<std::uint32_t>(at + layout::version_at) != layout::format_version)
    return fail(Errc::unsupported, "segment of a newer format version");
  const auto name_bytes = load_le<std::uint32_t>(at + layout::topic_name_bytes_at);
  if (name_bytes > layout::topic_name_limit)
    return fail(Errc::corrupt, "topic name in the segment header is too long");
  SegmentHeader header;
  header.partition = load_le<std::uint32_t>(at + layout::partition_at);
  std::memcpy(header.cluster_id.bytes.data(), at + layout::cluster_id_at, 16);
  std::memcpy(header.topic_id.bytes.data(), at + layout::topic_id_at, 16);
  header.base_offset.value = load_le<std::uint64_t>(at + layout::base_offset_at);
  header.segment_id = load_le<std::uint64_t>(at + layout::segment_id_at);
  header.created.ns = load_le<std::int64_t>(at + layout::created_at);
  header.previous_segment_id = load_le<std::uint64_t>(at + layout::previous_segment_id_at);
  header.previous_base_offset.value = load_le<std::uint64_t>(at + layout::previous_base_offset_at);
  header.previous_crc = load_le<std::uint32_t>(at + layout::previous_crc_at);
  header.topic_name = std::string(as_text(block.subspan(layout::topic_name_at, name_bytes)));
  header.batch_bytes_max = load_le<std::uint32_t>(at + layout::batch_bytes_max_at);
  if (header.segment_id == 0 || header.base_offset > offset_max)
    return fail(Errc::corrupt, "segment header holds impossible numbers");
  return header;
}

}  // namespace millrace
