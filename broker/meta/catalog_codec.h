// The bytes of a topic.meta file: the only file of the broker's core that reads generated code.
//
//   0        8        12       16       20       24          32
//   | magic  | version| length | crc    | zero   | zero      | FlatBuffer TopicMeta (length bytes)
//
// All little-endian. crc = crc32c(bytes [0, 16) ‖ FlatBuffer). Bytes behind the FlatBuffer are not
// looked at. Pure; every byte may have come from anywhere.
#pragma once

#include "broker/meta/topic_meta.h"
#include "storage/base/bytes.h"
#include "storage/base/result.h"

#include <vector>

namespace millrace {

// A file longer than this is not a topic.meta.
inline constexpr std::size_t topic_meta_bytes_max = 256 * 1024;

std::vector<std::byte> encode_topic_meta(const TopicMeta& meta);

// Errors: corrupt; unsupported for a newer version under a valid checksum.
Result<TopicMeta> decode_topic_meta(ByteView file);

}  // namespace millrace
