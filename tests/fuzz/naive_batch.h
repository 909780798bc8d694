// Batches as docs/wire-protocol.md describes them, read the slow way: the twin that the product's
// decoder is compared with. Shares no code with it.
#pragma once

#include "storage/base/bytes.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace millrace::fuzz {

// By a table of bytes, made one bit at a time.
std::uint32_t naive_crc32c(const std::vector<ByteView>& parts);

struct NaiveBatch {
  std::uint8_t codec = 0;
  std::uint32_t body_bytes = 0, raw_bytes = 0, event_count = 0;
  std::uint64_t base_offset = 0, segment_id = 0;
  std::uint32_t position = 0, previous_crc = 0, durable_position = 0, header_crc = 0;
  ByteView body;
  std::size_t bytes() const { return 96 + std::size_t{body_bytes}; }
};

// The header of the batch at the front of `bytes`, verified; without its body.
std::optional<NaiveBatch> naive_header(ByteView bytes);
// The batch at the front of `bytes`, header and body verified.
std::optional<NaiveBatch> naive_batch(ByteView bytes);

struct NaiveEvent {
  std::string key, payload, headers;
  std::int64_t time = 0;
  friend bool operator==(const NaiveEvent&, const NaiveEvent&) = default;
};

// The events of an uncompressed body.
std::optional<std::vector<NaiveEvent>> naive_events(ByteView body, std::uint32_t event_count);

// "To walk a segment" of docs/storage-format.md.
struct NaivePlace {
  std::uint64_t position;
  NaiveBatch batch;
};
std::vector<NaivePlace> naive_walk(ByteView file, std::uint64_t segment_id,
                                   std::uint64_t base_offset, std::uint32_t previous_crc);

}  // namespace millrace::fuzz
