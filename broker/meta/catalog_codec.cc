#include "broker/meta/catalog_codec.h"

#include "broker/meta/topic_name.h"
#include "catalog_generated.h"
#include "storage/base/check.h"
#include "storage/base/crc32c.h"

#include <flatbuffers/flatbuffers.h>

namespace millrace {
namespace {

constexpr std::uint64_t magic = 0x3154454D'52494D54ull;  // bytes "TMIRMET1"
constexpr std::uint32_t format_version = 1;
constexpr std::size_t version_at = 8;
constexpr std::size_t length_at = 12;
constexpr std::size_t crc_at = 16;
constexpr std::size_t header_bytes = 32;

std::uint32_t sum(ByteView file, std::size_t length) {
  return crc32c_extend(crc32c(file.first(crc_at)), file.subspan(header_bytes, length));
}

catalog::Id to_wire(const TopicId& id) {
  const auto* bytes = reinterpret_cast<const std::byte*>(id.bytes.data());
  return {load_le<std::uint64_t>(bytes), load_le<std::uint64_t>(bytes + 8)};
}

TopicId from_wire(const catalog::Id& id) {
  TopicId out;
  auto* bytes = reinterpret_cast<std::byte*>(out.bytes.data());
  store_le(bytes, id.high());
  store_le(bytes + 8, id.low());
  return out;
}

}  // namespace

std::vector<std::byte> encode_topic_meta(const TopicMeta& meta) {
  flatbuffers::FlatBufferBuilder builder(1024);
  const auto id = to_wire(meta.id);
  const auto settings = builder.CreateVectorOfStrings(meta.settings);
  const auto name = builder.CreateString(meta.name);
  builder.Finish(catalog::CreateTopicMeta(builder, &id, name, meta.partitions, meta.created.ns,
                                          meta.generation, settings),
                 catalog::TopicMetaIdentifier());
  const std::size_t length = builder.GetSize();
  std::vector<std::byte> file(header_bytes + length);
  store_le(file.data(), magic);
  store_le(file.data() + version_at, format_version);
  store_le(file.data() + length_at, static_cast<std::uint32_t>(length));
  std::memcpy(file.data() + header_bytes, builder.GetBufferPointer(), length);
  store_le(file.data() + crc_at, sum(file, length));
  CHECK(file.size() <= topic_meta_bytes_max, "settings and names are bounded");
  return file;
}

Result<TopicMeta> decode_topic_meta(ByteView file) {
  if (file.size() < header_bytes) return fail(Errc::corrupt, "shorter than its header");
  if (load_le<std::uint64_t>(file.data()) != magic) return fail(Errc::corrupt, "not a topic.meta");
  const std::size_t length = load_le<std::uint32_t>(file.data() + length_at);
  if (length > file.size() - header_bytes) return fail(Errc::corrupt, "cut short");
  if (load_le<std::uint32_t>(file.data() + crc_at) != sum(file, length)) {
    return fail(Errc::corrupt, "the checksum is wrong");
  }
  if (load_le<std::uint32_t>(file.data() + version_at) != format_version) {
    return fail(Errc::unsupported, "written by a newer version of the broker");
  }
  // The verifier and the accessors want the buffer on a boundary of 8.
  std::vector<std::byte> copy(file.begin() + header_bytes,
                              file.begin() + static_cast<std::ptrdiff_t>(header_bytes + length));
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(copy.data());
  flatbuffers::Verifier verifier(bytes, copy.size(), 8, 8);
  if (!catalog::VerifyTopicMetaBuffer(verifier)) return fail(Errc::corrupt, "not a TopicMeta");
  const catalog::TopicMeta* stored = catalog::GetTopicMeta(bytes);
  TopicMeta meta;
  meta.id = from_wire(*stored->id());
  meta.name = stored->name()->str();
  meta.partitions = stored->partitions();
  meta.created.ns = stored->created();
  meta.generation = stored->generation();
  if (stored->settings() != nullptr) {
    for (const auto* setting : *stored->settings()) meta.settings.push_back(setting->str());
  }
  if (auto named = check_topic_name(meta.name); !named)
    return fail(Errc::corrupt, named.error().text);
  if (meta.partitions == 0) return fail(Errc::corrupt, "a topic without partitions");
  return meta;
}

}  // namespace millrace
