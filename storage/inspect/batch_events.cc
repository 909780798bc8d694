#include "storage/inspect/batch_events.h"

#include "schemas/batch_body.h"

#include <fmt/core.h>
#include <lz4.h>
#include <zstd.h>

#include <cstring>

namespace millrace::inspect {

Result<void> BatchEvents::check(const BatchView& batch) {
  const auto bytes = body(batch);
  if (!bytes) return fail(bytes.error());
  const auto columns = BatchBodyView::parse(*bytes, batch.header().event_count);
  if (!columns) return fail(columns.error());
  return {};
}

Result<void> BatchEvents::visit(const BatchView& batch,
                                const std::function<void(const StoredEvent&)>& visitor) {
  const auto bytes = body(batch);
  if (!bytes) return fail(bytes.error());
  const auto columns = BatchBodyView::parse(*bytes, batch.header().event_count);
  if (!columns) return fail(columns.error());
  for (std::uint32_t i = 0; i < columns->event_count(); ++i) {
    visitor({.offset = batch.header().base_offset.value + i,
             .time_ns = columns->time(i),
             .append_time_ns = batch.header().append_time.ns,
             .key = as_text(columns->key(i)),
             .payload = as_text(columns->payload(i)),
             .raw_headers = as_text(columns->raw_headers(i))});
  }
  return {};
}

// The header's lengths were verified against their limits and their ratio.
Result<ByteView> BatchEvents::body(const BatchView& batch) {
  const BatchHeader& header = batch.header();
  buffer_.resize((header.raw_bytes + 7) / 8);
  auto* out = reinterpret_cast<char*>(buffer_.data());
  const ByteView stored = batch.body();
  std::size_t bytes = 0;
  switch (header.codec) {
    case Codec::none:
      std::memcpy(out, stored.data(), stored.size());
      bytes = stored.size();
      break;
    case Codec::lz4: {
      const int count =
          LZ4_decompress_safe(reinterpret_cast<const char*>(stored.data()), out,
                              static_cast<int>(stored.size()), static_cast<int>(header.raw_bytes));
      bytes = count < 0 ? 0 : static_cast<std::size_t>(count);
      break;
    }
    case Codec::zstd: {
      const std::size_t count =
          ZSTD_decompress(out, header.raw_bytes, stored.data(), stored.size());
      bytes = ZSTD_isError(count) != 0 ? 0 : count;
      break;
    }
  }
  if (bytes != header.raw_bytes)
    return fail(Errc::corrupt,
                fmt::format("the {} body does not become the {} bytes that its header says",
                            codec_name(header.codec), header.raw_bytes));
  return ByteView{reinterpret_cast<const std::byte*>(out), bytes};
}

}  // namespace millrace::inspect
