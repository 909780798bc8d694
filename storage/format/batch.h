// One batch: the unit of produce, checksum, append, replication and fetch.
//
// Pure: bytes in, views out. Shared by storage, broker and client. Layout: batch_layout.h.
//
// Checksums. seed = crc32c(le64(segment_id) ‖ le64(base_offset)).
//   body_crc   = crc32c(body)             xor seed
//   header_crc = crc32c(header[0 .. 92))  xor seed
// A producer builds its batch with segment_id 0 and base_offset 0. When the broker stamps the
// place, the body's checksum moves to the new seed by two xors, so the body that was verified on
// arrival is never summed again and a copy that went wrong cannot be blessed.
#pragma once

#include "storage/base/bytes.h"
#include "storage/base/ids.h"
#include "storage/base/result.h"
#include "storage/base/units.h"
#include "storage/format/batch_layout.h"

#include <cstdint>
#include <string_view>
#include <vector>

namespace millrace {

enum class Codec : std::uint8_t { none = 0, zstd = 1, lz4 = 2 };
std::string_view codec_name(Codec codec);

// Every field of a header, decoded.
struct BatchHeader {
  Codec codec = Codec::none;
  std::uint32_t body_bytes = 0;
  std::uint32_t raw_bytes = 0;
  std::uint32_t event_count = 0;
  LeaderEpoch leader_epoch;
  Offset base_offset;
  WallTime append_time;
  WallTime max_event_time;
  std::uint64_t producer_id = 0;
  std::uint64_t sequence = 0;
  std::uint32_t producer_epoch = 0;
  std::uint32_t position = 0;
  std::uint64_t segment_id = 0;
  std::uint32_t previous_crc = 0;
  std::uint32_t durable_position = 0;
  std::uint32_t body_crc = 0;
  std::uint32_t header_crc = 0;

  Offset end_offset() const { return base_offset + event_count; }
  OffsetRange range() const { return {base_offset, end_offset()}; }
  // Header and body, without the zeros up to the next batch.
  std::size_t batch_bytes() const { return batch_layout::header_bytes + body_bytes; }
  // Up to where the next batch may begin.
  std::size_t padded_bytes() const {
    return align_up(batch_bytes(), batch_layout::batch_alignment);
  }
};

std::uint32_t batch_seed(std::uint64_t segment_id, Offset base_offset);

// Decodes and verifies a header alone: magic, version, lengths within their limits, reserved bits,
// checksum. Needs header_bytes of `bytes`. Nothing is allocated or sought from a length that failed
// its checksum. Errors: Errc::unsupported for a newer version or codec under a valid checksum, else
// Errc::corrupt.
Result<BatchHeader> parse_batch_header(ByteView bytes);

// A verified header and the body's bytes; does not own them.
class BatchView {
 public:
  // Verifies header and body. `bytes` may go on past the batch.
  // Errors: as parse_batch_header; Errc::corrupt if the body is cut short or its checksum is wrong.
  static Result<BatchView> parse(ByteView bytes);
  // For callers that have verified the header by themselves and skip the body's checksum (a
  // broker's own slab).
  static BatchView trusted(const BatchHeader& header, ByteView bytes);

  const BatchHeader& header() const { return header_; }
  ByteView bytes() const { return bytes_; }  // header and body
  ByteView body() const { return bytes_.subspan(batch_layout::header_bytes); }

 private:
  BatchView(const BatchHeader& header, ByteView bytes) : header_(header), bytes_(bytes) {}
  BatchHeader header_;
  ByteView bytes_;
};

// What a broker adds when it gives a batch its place.
struct BatchPlace {
  Offset base_offset;
  LeaderEpoch leader_epoch;
  WallTime append_time;
  std::uint64_t segment_id = 0;
  std::uint32_t position = 0;
  std::uint32_t previous_crc = 0;
  std::uint32_t durable_position = 0;
};

// Writes `place` into the header at `batch` (at least header_bytes, already verified as `header`),
// reseeds the body's checksum, recomputes the header's, and answers the stamped header.
BatchHeader stamp_batch(MutableBytes batch, const BatchHeader& header, const BatchPlace& place);

// What a producer says about a batch it built.
struct BatchDraft {
  Codec codec = Codec::none;
  std::uint32_t raw_bytes = 0;
  std::uint32_t event_count = 0;
  WallTime max_event_time;
  std::uint64_t producer_id = 0;
  std::uint32_t producer_epoch = 0;
  std::uint64_t sequence = 0;
};

// Writes the header of an unplaced batch into the first header_bytes of `batch`, the rest of which
// is the body.
void seal_batch(MutableBytes batch, const BatchDraft& draft);

// The sum of the body alone, the same wherever the batch is placed; identifies a payload for
// de-duplication.
std::uint32_t body_checksum(const BatchHeader& header);

// Walks batches that lie one after the other, with zero words between them, as in a fetch reply or
// a slab.
class BatchCursor {
 public:
  explicit BatchCursor(ByteView bytes) : rest_(bytes) {}
  // The next verified batch; Errc::not_found at the end; Errc::corrupt when bytes do not verify.
  Result<BatchView> next();

 private:
  ByteView rest_;
};

}  // namespace millrace
