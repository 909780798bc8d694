// Reads topic.meta as a tool does: without the broker. The layout is that of
// broker/meta/catalog_codec.h; a test keeps both in step.
#pragma once

#include "storage/base/bytes.h"
#include "storage/base/ids.h"
#include "storage/base/result.h"
#include "storage/base/units.h"

#include <cstdint>
#include <string>
#include <vector>

namespace millrace::inspect {

struct TopicMetaFile {
  TopicId id;
  std::string name;
  std::uint32_t partitions = 0;
  WallTime created;
  std::uint64_t generation = 0;
  std::vector<std::string> settings;
};

inline constexpr std::size_t topic_meta_file_bytes_max = 256 * 1024;

// Errors: corrupt; unsupported for a newer version under a valid checksum.
Result<TopicMetaFile> decode_topic_meta_file(ByteView file);

}  // namespace millrace::inspect
