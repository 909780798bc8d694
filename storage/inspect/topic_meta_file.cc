#include "storage/inspect/topic_meta_file.h"

#include "catalog_generated.h"
#include "storage/base/crc32c.h"
#include "storage/format/segment_layout.h"

#include <flatbuffers/flatbuffers.h>

#include <string_view>

namespace millrace::inspect {
namespace {

constexpr std::uint64_t magic = 0x3154454D'52494D54ull;
constexpr std::uint32_t format_version = 1;
constexpr std::size_t version_at = 8;
constexpr std::size_t length_at = 12;
constexpr std::size_t crc_at = 16;
constexpr std::size_t header_bytes = 32;

TopicMetaFile from_wire(const catalog::TopicMeta& stored) {
  TopicMetaFile meta;
  auto* bytes = reinterpret_cast<std::byte*>(meta.id.bytes.data());
  store_le(bytes, stored.id()->high());
  store_le(bytes + 8, stored.id()->low());
  meta.name = stored.name()->str();
  meta.partitions = stored.partitions();
  meta.created.ns = stored.created();
  meta.generation = stored.generation();
  if (stored.settings() == nullptr) return meta;
  for (const auto* setting : *stored.settings()) meta.settings.push_back(setting->str());
  return meta;
}

// What a broker takes for a topic's name (broker/meta/topic_name.h).
bool is_topic_name(std::string_view name) {
  return !name.empty() && name.size() <= segment_layout::topic_name_limit && name.front() != '.' &&
         name.find_first_not_of(
             "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
             "0123456789._-") == std::string_view::npos;
}

}  // namespace

Result<TopicMetaFile> decode_topic_meta_file(ByteView file) {
  if (file.size() < header_bytes) return fail(Errc::corrupt, "shorter than its header");
  if (load_le<std::uint64_t>(file.data()) != magic) return fail(Errc::corrupt, "not a topic.meta");
  const std::size_t length = load_le<std::uint32_t>(file.data() + length_at);
  if (length > file.size() - header_bytes) return fail(Errc::corrupt, "cut short");
  const auto sum = crc32c_extend(crc32c(file.first(crc_at)), file.subspan(header_bytes, length));
  if (load_le<std::uint32_t>(file.data() + crc_at) != sum)
    return fail(Errc::corrupt, "the checksum is wrong");
  if (load_le<std::uint32_t>(file.data() + version_at) != format_version)
    return fail(Errc::unsupported, "written by a newer version of the broker");
  // The verifier wants the buffer on a boundary of 8, which a vector begins on.
  const ByteView body = file.subspan(header_bytes, length);
  const std::vector<std::byte> copy(body.begin(), body.end());
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(copy.data());
  flatbuffers::Verifier verifier(bytes, copy.size(), 8, 8);
  if (copy.size() < 16 || !catalog::VerifyTopicMetaBuffer(verifier))
    return fail(Errc::corrupt, "not a TopicMeta");
  TopicMetaFile meta = from_wire(*catalog::GetTopicMeta(bytes));
  if (!is_topic_name(meta.name)) return fail(Errc::corrupt, "its name is none that a topic has");
  if (meta.partitions == 0) return fail(Errc::corrupt, "a topic without partitions");
  return meta;
}

}  // namespace millrace::inspect
