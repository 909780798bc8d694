#include "batch_reader.h"

#include "errors.h"

#include <fmt/core.h>

#include <algorithm>

namespace millrace::detail {

void BatchReader::start(Delivered delivered) {
  message_ = std::move(delivered);
  frame_ = 0;
  frame_bytes_ = {};
}

std::optional<Outcome<EventBatch>> BatchReader::next(ReadCursor& cursor) {
  for (;;) {
    const ByteView bytes = rest();
    if (bytes.empty()) {
      if (!next_frame()) return std::nullopt;
      continue;
    }
    const auto header = parse_batch_header(bytes);
    if (!header || header->batch_bytes() > bytes.size()) {
      // No length in here can be believed: the rest of the frame is lost.
      frame_bytes_ = {};
      const std::string reason = header ? "batch cut short" : header.error().text;
      return corrupt(cursor, offset_behind_frame(), reason);
    }
    frame_bytes_ = bytes.subspan(std::min(header->padded_bytes(), bytes.size()));
    if (header->end_offset().value <= cursor.position) continue;  // seen before
    const auto batch = BatchView::parse(bytes);
    if (!batch) return corrupt(cursor, header->end_offset().value, batch.error().text);
    if (header->base_offset.value > cursor.position && header->base_offset.value < cursor.end) {
      frame_bytes_ = bytes;  // shown by the next call
      return corrupt(cursor, header->base_offset.value,
                     "these offsets are missing from what the broker sent");
    }
    if (auto shown = show(*batch, cursor)) return shown;
  }
}

// Zero words lie between commits; a batch never begins with one.
ByteView BatchReader::rest() {
  std::size_t skip = 0;
  while (skip + 8 <= frame_bytes_.size() && load_le<std::uint64_t>(frame_bytes_.data() + skip) == 0)
    skip += 8;
  frame_bytes_ = frame_bytes_.subspan(skip);
  if (frame_bytes_.size() < 8) frame_bytes_ = {};
  return frame_bytes_;
}

bool BatchReader::next_frame() {
  if (frame_ >= message_.frames.size()) return false;
  const zmq::message_t& frame = message_.frames[frame_++];
  const auto* data = static_cast<const std::byte*>(frame.data());
  if (frame.size() > 0 && reinterpret_cast<std::uintptr_t>(data) % 8 != 0) {
    aligned_.resize((frame.size() + 7) / 8);
    std::memcpy(aligned_.data(), data, frame.size());
    data = reinterpret_cast<const std::byte*>(aligned_.data());
  }
  frame_bytes_ = {data, frame.size()};
  return true;
}

std::optional<Outcome<EventBatch>> BatchReader::show(const BatchView& batch, ReadCursor& cursor) {
  const BatchHeader& header = batch.header();
  const auto body = decompressor_.body(batch, batch_bytes_max_);
  if (!body)
    return corrupt(cursor, header.end_offset().value, body.error().text, body.error().code);
  const auto columns = BatchBodyView::parse(*body, header.event_count);
  if (!columns) return corrupt(cursor, header.end_offset().value, columns.error().text);
  fill(header, *columns, cursor);
  if (events_.empty()) return std::nullopt;
  cursor.position = events_.back().offset + 1;
  EventBatch shown;
  shown.partition = cursor.partition;
  shown.end_offset = cursor.position;
  shown.partition_end = std::max(message_.partition_end, header.end_offset().value);
  shown.events = events_;
  return shown;
}

void BatchReader::fill(const BatchHeader& header, const BatchBodyView& body,
                       const ReadCursor& cursor) {
  const std::uint64_t base = header.base_offset.value;
  const std::uint64_t first = std::max(base, cursor.position) - base;
  const std::uint64_t last =
      std::min(std::max(cursor.end, base) - base, std::uint64_t{header.event_count});
  events_.clear();
  for (std::uint64_t n = first; n < last; ++n) {
    const auto i = static_cast<std::uint32_t>(n);
    EventView& event = events_.emplace_back();
    event.topic = topic_;
    event.partition = cursor.partition;
    event.offset = base + n;
    event.time_ns = body.time(i);
    event.append_time_ns = header.append_time.ns;
    event.key = as_text(body.key(i));
    event.payload = as_text(body.payload(i));
    event.raw_headers = as_text(body.raw_headers(i));
  }
}

Outcome<EventBatch> BatchReader::corrupt(ReadCursor& cursor, std::uint64_t end, std::string text,
                                         Errc code) {
  ClientError error =
      client_error(code, fmt::format("topic '{}' partition {} offsets [{}, {}): {}", topic_,
                                     cursor.partition, cursor.position, end, text));
  error.range_begin = cursor.position;
  error.range_end = std::max(end, cursor.position);
  cursor.position = error.range_end;
  return refuse(std::move(error));
}

std::uint64_t BatchReader::offset_behind_frame() const {
  if (frame_ < message_.frames.size()) {
    const zmq::message_t& frame = message_.frames[frame_];
    const auto header =
        parse_batch_header({static_cast<const std::byte*>(frame.data()), frame.size()});
    if (header) return header->base_offset.value;
  }
  return message_.next_offset;
}

}  // namespace millrace::detail
