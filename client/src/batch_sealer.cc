#include "batch_sealer.h"

#include "storage/base/check.h"

namespace millrace::detail {
namespace {

constexpr std::size_t header_bytes = batch_layout::header_bytes;

// Hands memory to libzmq, which gives it back on whatever thread drops the last reference.
zmq::message_t message_of(std::vector<std::byte> bytes) {
  auto* owner = new std::vector<std::byte>(std::move(bytes));
  return zmq::message_t(
      owner->data(), owner->size(),
      [](void*, void* hint) { delete static_cast<std::vector<std::byte>*>(hint); }, owner);
}

BatchDraft draft_of(const SessionPlace& place) {
  BatchDraft draft;
  draft.producer_id = place.producer_id;
  draft.producer_epoch = place.epoch;
  draft.sequence = place.sequence;
  return draft;
}

}  // namespace

zmq::message_t BatchSealer::seal(const BatchBodyBuilder& body, const SessionPlace& place) {
  std::vector<std::byte> bytes = body.finish(header_bytes);
  BatchDraft draft = draft_of(place);
  draft.raw_bytes = static_cast<std::uint32_t>(bytes.size() - header_bytes);
  draft.event_count = body.event_count();
  draft.max_event_time.ns = body.max_time();
  if (codec_ != Codec::none) {
    std::vector<std::byte> smaller(header_bytes + compressed_bytes_max(codec_, draft.raw_bytes));
    const std::size_t size = compressor_.compress(codec_, ByteView(bytes).subspan(header_bytes),
                                                  MutableBytes(smaller).subspan(header_bytes));
    if (size > 0) {
      draft.codec = codec_;
      bytes.assign(smaller.begin(),
                   smaller.begin() + static_cast<std::ptrdiff_t>(header_bytes + size));
    }
  }
  seal_batch(bytes, draft);
  return message_of(std::move(bytes));
}

zmq::message_t BatchSealer::reseal(const zmq::message_t& batch, const SessionPlace& place) {
  const auto* data = static_cast<const std::byte*>(batch.data());
  std::vector<std::byte> bytes(data, data + batch.size());
  const auto header = parse_batch_header(bytes);
  CHECK(header.has_value(), "a batch that this producer sealed has a header");
  BatchDraft draft = draft_of(place);
  draft.codec = header->codec;
  draft.raw_bytes = header->raw_bytes;
  draft.event_count = header->event_count;
  draft.max_event_time = header->max_event_time;
  seal_batch(bytes, draft);
  return message_of(std::move(bytes));
}

}  // namespace millrace::detail
