#include "schemas/batch_body.h"

#include "batch_generated.h"
#include "storage/base/check.h"
#include "storage/base/units.h"
#include "storage/format/batch_layout.h"

#include <fmt/core.h>

#include <algorithm>

namespace millrace {
namespace {

// One table of scalars and vectors: more depth or tables than this is an attack on the verifier's
// time.
constexpr flatbuffers::uoffset_t depth_max = 4;
constexpr flatbuffers::uoffset_t tables_max = 4;
constexpr std::size_t body_bytes_min = 16;
constexpr std::size_t header_entry_bytes = 8;

const std::byte* raw(const void* data) { return static_cast<const std::byte*>(data); }

// Ends must rise (by `alignment` steps of the starts) and the last must be the column's size.
Result<void> check_ends(std::string_view column, const flatbuffers::Vector<std::uint32_t>* ends,
                        std::size_t column_bytes, std::uint32_t event_count,
                        std::size_t alignment) {
  if (ends->size() != event_count)
    return fail(Errc::bad_batch, fmt::format("the header says {} events, column {} has {}",
                                             event_count, column, ends->size()));
  const std::byte* at = raw(ends->Data());
  std::uint64_t start = 0;
  for (std::uint32_t i = 0; i < event_count; ++i) {
    const std::uint64_t end = load_le<std::uint32_t>(at + 4 * std::size_t{i});
    if (end < start || end > column_bytes)
      return fail(Errc::bad_batch,
                  fmt::format("column {}: the end of event {} is {}, outside [{}, {}]", column, i,
                              end, start, column_bytes));
    start = align_up(end, alignment);
  }
  const std::uint64_t last = load_le<std::uint32_t>(at + 4 * std::size_t{event_count - 1});
  if (last != column_bytes)
    return fail(Errc::bad_batch, fmt::format("column {} has {} bytes, its last event ends at {}",
                                             column, column_bytes, last));
  return {};
}

}  // namespace

bool decode_headers(ByteView in, std::vector<HeaderView>& out) {
  out.clear();
  while (!in.empty()) {
    if (in.size() < header_entry_bytes) return false;
    const std::size_t name = load_le<std::uint32_t>(in.data());
    const std::size_t value = load_le<std::uint32_t>(in.data() + 4);
    in = in.subspan(header_entry_bytes);
    if (name == 0 || name > in.size() || value > in.size() - name) return false;
    out.push_back({as_text(in.first(name)), in.subspan(name, value)});
    in = in.subspan(name + value);
  }
  return true;
}

void encode_header(std::string_view name, ByteView value, std::vector<std::byte>& out) {
  std::byte sizes[header_entry_bytes];
  store_le(sizes, static_cast<std::uint32_t>(name.size()));
  store_le(sizes + 4, static_cast<std::uint32_t>(value.size()));
  out.insert(out.end(), sizes, sizes + header_entry_bytes);
  const ByteView text = as_bytes(name);
  out.insert(out.end(), text.begin(), text.end());
  out.insert(out.end(), value.begin(), value.end());
}

Result<BatchBodyView> BatchBodyView::parse(ByteView body, std::uint32_t event_count) {
  CHECK(reinterpret_cast<std::uintptr_t>(body.data()) % 8 == 0,
        "a body is read on an 8-byte boundary");
  if (body.size() < body_bytes_min || body.size() > batch_layout::body_bytes_limit)
    return fail(Errc::bad_batch,
                fmt::format("a body of {} bytes is outside its limits", body.size()));
  if (event_count == 0) return fail(Errc::bad_batch, "a batch holds at least one event");
  const auto* data = reinterpret_cast<const std::uint8_t*>(body.data());
  flatbuffers::Verifier verifier(data, body.size(), depth_max, tables_max);
  if (!wire::VerifyBatchBodyBuffer(verifier))
    return fail(Errc::bad_batch, "the body is not a valid BatchBody FlatBuffer");
  const wire::BatchBody* columns = wire::GetBatchBody(data);

  BatchBodyView view;
  view.event_count_ = event_count;
  view.payloads_ = raw(columns->payloads()->Data());
  view.payload_ends_ = raw(columns->payload_ends()->Data());
  view.base_time_ = columns->base_time();
  // The verifier asks four bytes of a byte vector; readers use payloads in place and rely on eight.
  if (columns->payloads()->size() > 0 && (view.payloads_ - body.data()) % 8 != 0)
    return fail(Errc::bad_batch,
                "column payloads does not begin on an 8-byte boundary of the body");
  if (auto ok = check_ends("payloads", columns->payload_ends(), columns->payloads()->size(),
                           event_count, 8);
      !ok)
    return fail(ok.error());
  if ((columns->keys() == nullptr) != (columns->key_ends() == nullptr))
    return fail(Errc::bad_batch, "keys and key_ends must both be there or both be absent");
  if (columns->keys() != nullptr) {
    if (auto ok = check_ends("keys", columns->key_ends(), columns->keys()->size(), event_count, 1);
        !ok)
      return fail(ok.error());
    view.keys_ = raw(columns->keys()->Data());
    view.key_ends_ = raw(columns->key_ends()->Data());
  }
  if ((columns->headers() == nullptr) != (columns->header_ends() == nullptr))
    return fail(Errc::bad_batch, "headers and header_ends must both be there or both be absent");
  if (columns->headers() != nullptr) {
    if (auto ok = check_ends("headers", columns->header_ends(), columns->headers()->size(),
                             event_count, 1);
        !ok)
      return fail(ok.error());
    view.headers_ = raw(columns->headers()->Data());
    view.header_ends_ = raw(columns->header_ends()->Data());
    std::vector<HeaderView> entries;
    for (std::uint32_t i = 0; i < event_count; ++i) {
      if (!decode_headers(view.raw_headers(i), entries))
        return fail(Errc::bad_batch, fmt::format("headers of event {} are not whole entries", i));
    }
  }
  if (columns->time_deltas() != nullptr) {
    if (columns->time_deltas()->size() != event_count)
      return fail(Errc::bad_batch,
                  fmt::format("the header says {} events, column time_deltas has {}", event_count,
                              columns->time_deltas()->size()));
    view.time_deltas_ = raw(columns->time_deltas()->Data());
  }
  return view;
}

std::uint32_t BatchBodyView::end_at(const std::byte* ends, std::uint32_t i) const {
  DCHECK(i < event_count_, "an event of this batch");
  return load_le<std::uint32_t>(ends + 4 * std::size_t{i});
}

ByteView BatchBodyView::payload(std::uint32_t i) const {
  const std::uint64_t start = i == 0 ? 0 : align_up(end_at(payload_ends_, i - 1), 8);
  return {payloads_ + start, end_at(payload_ends_, i) - start};
}

ByteView BatchBodyView::key(std::uint32_t i) const {
  if (key_ends_ == nullptr) return {};
  const std::uint32_t start = i == 0 ? 0 : end_at(key_ends_, i - 1);
  return {keys_ + start, end_at(key_ends_, i) - start};
}

ByteView BatchBodyView::raw_headers(std::uint32_t i) const {
  if (header_ends_ == nullptr) return {};
  const std::uint32_t start = i == 0 ? 0 : end_at(header_ends_, i - 1);
  return {headers_ + start, end_at(header_ends_, i) - start};
}

std::int64_t BatchBodyView::time(std::uint32_t i) const {
  if (time_deltas_ == nullptr) return base_time_;
  // Two's complement wrap is defined for the unsigned sum; a lying delta gives a strange time,
  // nothing worse.
  const auto delta = load_le<std::uint64_t>(time_deltas_ + 8 * std::size_t{i});
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(base_time_) + delta);
}

std::int64_t BatchBodyView::max_time() const {
  if (time_deltas_ == nullptr) return base_time_;
  std::int64_t max = INT64_MIN;
  for (std::uint32_t i = 0; i < event_count_; ++i) max = std::max(max, time(i));
  return max;
}

void BatchBodyBuilder::add(ByteView key, ByteView payload, ByteView raw_headers,
                           std::int64_t time_ns) {
  payloads_.resize(align_up(payloads_.size(), 8));
  payloads_.insert(payloads_.end(), payload.begin(), payload.end());
  payload_ends_.push_back(static_cast<std::uint32_t>(payloads_.size()));
  keys_.insert(keys_.end(), key.begin(), key.end());
  key_ends_.push_back(static_cast<std::uint32_t>(keys_.size()));
  headers_.insert(headers_.end(), raw_headers.begin(), raw_headers.end());
  header_ends_.push_back(static_cast<std::uint32_t>(headers_.size()));
  same_time_ = same_time_ && (times_.empty() || times_.front() == time_ns);
  times_.push_back(time_ns);
  max_time_ = std::max(max_time_, time_ns);
}

void BatchBodyBuilder::clear() {
  payloads_.clear();
  keys_.clear();
  headers_.clear();
  payload_ends_.clear();
  key_ends_.clear();
  header_ends_.clear();
  times_.clear();
  max_time_ = INT64_MIN;
  same_time_ = true;
}

std::size_t BatchBodyBuilder::body_bytes() const { return body_bytes_with(0, 0, 0) - 20; }

std::size_t BatchBodyBuilder::body_bytes_with(std::size_t key, std::size_t payload,
                                              std::size_t raw_headers) const {
  const std::size_t events = payload_ends_.size() + 1;
  const std::size_t fixed =
      160;  // root, identifier, vtable, table, vector lengths and their padding
  return fixed + align_up(payloads_.size(), 8) + payload + keys_.size() + key + headers_.size() +
         raw_headers + events * 20;
}

std::vector<std::byte> BatchBodyBuilder::finish(std::size_t front_bytes) const {
  CHECK(!empty(), "a batch holds at least one event");
  CHECK(front_bytes % 8 == 0, "the body starts on an 8-byte boundary");
  flatbuffers::FlatBufferBuilder builder(body_bytes() + 64);
  // The largest vector last, so that it lies nearest to the front and the small ones share cache
  // lines.
  flatbuffers::Offset<flatbuffers::Vector<std::int64_t>> deltas;
  const std::int64_t base_time = times_.front();
  if (!same_time_) {
    std::vector<std::int64_t> values(times_.size());
    std::transform(times_.begin(), times_.end(), values.begin(), [&](std::int64_t time) {
      return static_cast<std::int64_t>(static_cast<std::uint64_t>(time) -
                                       static_cast<std::uint64_t>(base_time));
    });
    deltas = builder.CreateVector(values);
  }
  const auto bytes_of = [&](const std::vector<std::byte>& bytes) {
    return builder.CreateVector(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  };
  flatbuffers::Offset<flatbuffers::Vector<std::uint8_t>> headers, keys;
  flatbuffers::Offset<flatbuffers::Vector<std::uint32_t>> header_ends, key_ends;
  if (!headers_.empty()) {
    header_ends = builder.CreateVector(header_ends_);
    headers = bytes_of(headers_);
  }
  if (!keys_.empty()) {
    key_ends = builder.CreateVector(key_ends_);
    keys = bytes_of(keys_);
  }
  const auto payload_ends = builder.CreateVector(payload_ends_);
  builder.ForceVectorAlignment(payloads_.size(), 1, 8);
  const auto payloads = bytes_of(payloads_);
  wire::BatchBodyBuilder body(builder);
  body.add_base_time(base_time);
  body.add_payloads(payloads);
  body.add_payload_ends(payload_ends);
  if (!keys.IsNull()) {
    body.add_keys(keys);
    body.add_key_ends(key_ends);
  }
  if (!headers.IsNull()) {
    body.add_headers(headers);
    body.add_header_ends(header_ends);
  }
  if (!deltas.IsNull()) body.add_time_deltas(deltas);
  wire::FinishBatchBodyBuffer(builder, body.Finish());

  std::vector<std::byte> out(front_bytes + builder.GetSize());
  std::memcpy(out.data() + front_bytes, builder.GetBufferPointer(), builder.GetSize());
  return out;
}

}  // namespace millrace
