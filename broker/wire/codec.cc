#include "broker/wire/codec.h"

#include "reply_generated.h"
#include "schemas/batch_body.h"
#include "storage/base/check.h"
#include "wire_generated.h"

#include <fmt/core.h>

#include <cstring>
#include <optional>

namespace millrace {
namespace {

// A request is a root, one member and a few strings: more is an attack on the verifier's time
// (F-1).
constexpr flatbuffers::uoffset_t depth_max = 8;
constexpr flatbuffers::uoffset_t tables_max = 16;

// The part of a request that every version must keep, so that a request of any kind and version can
// be answered. The places are those of wire.fbs; a static_assert below holds them to the generated
// code.
struct RequestHead : private flatbuffers::Table {
  std::uint16_t version() const { return GetField<std::uint16_t>(wire::Request::VT_VERSION, 0); }
  std::uint64_t id() const { return GetField<std::uint64_t>(wire::Request::VT_ID, 0); }
  std::uint8_t kind() const { return GetField<std::uint8_t>(wire::Request::VT_BODY_TYPE, 0); }
  bool Verify(flatbuffers::Verifier& verifier) const {
    return VerifyTableStart(verifier) &&
           VerifyField<std::uint16_t>(verifier, wire::Request::VT_VERSION, 2) &&
           VerifyField<std::uint64_t>(verifier, wire::Request::VT_ID, 8) &&
           VerifyField<std::uint8_t>(verifier, wire::Request::VT_BODY_TYPE, 1) &&
           verifier.EndTable();
  }
};
static_assert(wire::Request::VT_VERSION == 4 && wire::Request::VT_ID == 6 &&
                  wire::Request::VT_BODY_TYPE == 8,
              "the places of version, id and kind never change");

std::string_view text(const flatbuffers::String* string) {
  return string == nullptr ? std::string_view{} : std::string_view{string->c_str(), string->size()};
}

TopicId topic_id(const wire::Id* id) {
  TopicId out;
  if (id == nullptr) return out;
  const std::uint64_t high = id->high(), low = id->low();
  std::memcpy(out.bytes.data(), &high, sizeof high);
  std::memcpy(out.bytes.data() + sizeof high, &low, sizeof low);
  return out;
}

wire::Id wire_id(const Uuid& id) {
  std::uint64_t high = 0, low = 0;
  std::memcpy(&high, id.bytes.data(), sizeof high);
  std::memcpy(&low, id.bytes.data() + sizeof high, sizeof low);
  return {high, low};
}

Result<Offset> offset_in_range(std::uint64_t offset) {
  if (offset > offset_max.value)
    return fail(Errc::bad_request,
                fmt::format("offset {} is above the largest offset, {}", offset, offset_max.value));
  return Offset{offset};
}

Result<Where> where_of(const wire::Where& where) {
  Where out;
  out.value = where.value();
  switch (where.kind()) {
    case wire::WhereKind::start: out.kind = Where::Kind::start; return out;
    case wire::WhereKind::end: out.kind = Where::Kind::end; return out;
    case wire::WhereKind::time: out.kind = Where::Kind::time; return out;
    case wire::WhereKind::before_end: out.kind = Where::Kind::before_end; break;
    case wire::WhereKind::offset: out.kind = Where::Kind::offset; break;
    default:
      return fail(Errc::bad_request, fmt::format("unknown kind of place {}; known are 0 to {}",
                                                 static_cast<unsigned>(where.kind()),
                                                 static_cast<unsigned>(wire::WhereKind::MAX)));
  }
  if (out.value < 0 || static_cast<std::uint64_t>(out.value) > offset_max.value)
    return fail(Errc::bad_request, fmt::format("a place of {} events is outside [0, {}]", out.value,
                                               offset_max.value));
  return out;
}

Result<Ack> ack_of(wire::Ack ack) {
  switch (ack) {
    case wire::Ack::none: return Ack::none;
    case wire::Ack::received: return Ack::received;
    case wire::Ack::durable: return Ack::durable;
  }
  return fail(Errc::bad_request,
              fmt::format("unknown ack level {}; known are 0 to {}", static_cast<unsigned>(ack),
                          static_cast<unsigned>(wire::Ack::MAX)));
}

// One overload per request kind. The FlatBuffer is verified, so required fields are there and spans
// are inside.

Result<RequestBody> body_of(const wire::Fetch& fetch) {
  auto offset = offset_in_range(fetch.offset());
  if (!offset) return fail(offset.error());
  return FetchRequest{{text(fetch.topic()), topic_id(fetch.topic_id())},
                      fetch.partition(),
                      *offset,
                      fetch.min_bytes(),
                      fetch.max_bytes(),
                      fetch.wait_ms()};
}

Result<RequestBody> body_of(const wire::Subscribe& subscribe) {
  auto offset = offset_in_range(subscribe.offset());
  if (!offset) return fail(offset.error());
  return SubscribeRequest{subscribe.subscription(),
                          {text(subscribe.topic()), topic_id(subscribe.topic_id())},
                          subscribe.partition(),
                          *offset,
                          subscribe.credit_bytes()};
}

Result<RequestBody> body_of(const wire::Credit& credit) {
  return CreditRequest{credit.subscription(), credit.credit_bytes()};
}

Result<RequestBody> body_of(const wire::Unsubscribe& unsubscribe) {
  return UnsubscribeRequest{unsubscribe.subscription()};
}

Result<RequestBody> body_of(const wire::ListOffsets& list) {
  auto where = where_of(*list.where());
  if (!where) return fail(where.error());
  return ListOffsetsRequest{
      {text(list.topic()), topic_id(list.topic_id())}, list.partition(), *where};
}

Result<RequestBody> body_of(const wire::CreateTopic& create) {
  CreateTopicRequest out{text(create.topic()), create.partitions(), {}};
  if (const auto* settings = create.settings()) {
    if (settings->size() > settings_max)
      return fail(Errc::bad_request, fmt::format("{} settings are above the limit of {}",
                                                 settings->size(), settings_max));
    for (const auto* setting : *settings) out.settings.push_back(text(setting));
  }
  return out;
}

Result<RequestBody> body_of(const wire::DescribeTopic& describe) {
  return DescribeTopicRequest{{text(describe.topic()), {}}};
}

Result<RequestBody> body_of(const wire::DeleteTopic& remove) {
  return DeleteTopicRequest{{text(remove.topic()), topic_id(remove.topic_id())}};
}

Result<RequestBody> body_of(const wire::TrimTopic& trim) {
  auto where = where_of(*trim.where());
  if (!where) return fail(where.error());
  return TrimTopicRequest{
      {text(trim.topic()), topic_id(trim.topic_id())}, trim.partition(), *where};
}

Result<RequestBody> body_of(const wire::Metadata& metadata) {
  return MetadataRequest{{text(metadata.topic()), {}}};
}

// An incoming batch is whole, alone in its frame, verified, and has no place yet.
Result<BatchView> incoming_batch(ByteView frame) {
  auto batch = BatchView::parse(frame);
  if (!batch)
    return fail(batch.error().code == Errc::unsupported ? Errc::unsupported : Errc::bad_batch,
                batch.error().text);
  const BatchHeader& header = batch->header();
  if (frame.size() != header.batch_bytes())
    return fail(Errc::bad_batch,
                fmt::format("a frame of {} bytes holds a batch of {} bytes; they must be equal",
                            frame.size(), header.batch_bytes()));
  if (header.base_offset.value != 0 || header.segment_id != 0)
    return fail(Errc::bad_batch,
                "a producer leaves base_offset and segment_id 0; the broker gives offsets");
  if (header.codec != Codec::none) return batch;
  const auto columns = BatchBodyView::parse(batch->body(), header.event_count);
  if (!columns) return fail(columns.error());
  if (header.max_event_time.ns != columns->max_time())
    return fail(Errc::bad_batch,
                fmt::format("the header says {} ns for the largest event time, the events say {}",
                            header.max_event_time.ns, columns->max_time()));
  return batch;
}

Result<RequestBody> produce_of(const wire::Produce& produce, ByteView frame) {
  auto ack = ack_of(produce.ack());
  if (!ack) return fail(ack.error());
  auto batch = incoming_batch(frame);
  if (!batch) return fail(batch.error());
  return ProduceRequest{
      {text(produce.topic()), topic_id(produce.topic_id())}, produce.partition(), *ack, *batch};
}

Result<RequestBody> body_of(const wire::Request& request, ByteView batch_frame) {
  switch (request.body_type()) {
    case wire::RequestBody::Produce: return produce_of(*request.body_as_Produce(), batch_frame);
    case wire::RequestBody::Fetch: return body_of(*request.body_as_Fetch());
    case wire::RequestBody::Subscribe: return body_of(*request.body_as_Subscribe());
    case wire::RequestBody::Credit: return body_of(*request.body_as_Credit());
    case wire::RequestBody::Unsubscribe: return body_of(*request.body_as_Unsubscribe());
    case wire::RequestBody::ListOffsets: return body_of(*request.body_as_ListOffsets());
    case wire::RequestBody::CreateTopic: return body_of(*request.body_as_CreateTopic());
    case wire::RequestBody::ListTopics: return ListTopicsRequest{};
    case wire::RequestBody::DescribeTopic: return body_of(*request.body_as_DescribeTopic());
    case wire::RequestBody::DeleteTopic: return body_of(*request.body_as_DeleteTopic());
    case wire::RequestBody::TrimTopic: return body_of(*request.body_as_TrimTopic());
    case wire::RequestBody::Metadata: return body_of(*request.body_as_Metadata());
    case wire::RequestBody::Ping: return PingRequest{};
    case wire::RequestBody::NONE: break;
  }
  UNREACHABLE("an unknown request kind passed its check");
}

// Version and kind, from the part that every version keeps. Answers the frames that a request of
// this kind has.
Result<std::size_t> check_version_and_kind(const RequestHead& head) {
  if (head.version() < protocol_version_min || head.version() > protocol_version_max)
    return fail(Errc::unsupported,
                fmt::format("protocol version {} is not supported; this broker speaks {} to {}",
                            head.version(), protocol_version_min, protocol_version_max));
  if (head.kind() == 0 || head.kind() > static_cast<std::uint8_t>(wire::RequestBody::MAX))
    return fail(
        Errc::unsupported,
        fmt::format("request kind {} is not supported; protocol version {} has kinds 1 to {}",
                    head.kind(), head.version(), static_cast<unsigned>(wire::RequestBody::MAX)));
  return head.kind() == static_cast<std::uint8_t>(wire::RequestBody::Produce) ? std::size_t{2}
                                                                              : std::size_t{1};
}

}  // namespace

RequestDecoder::RequestDecoder() = default;
RequestDecoder::~RequestDecoder() = default;

// libzmq hands out small messages at any address of its receive arena; FlatBuffers and columns are
// read in place only from 8-byte boundaries (PR-05).
ByteView RequestDecoder::aligned(ByteView frame, std::vector<std::uint64_t>& scratch) {
  if (frame.empty() || reinterpret_cast<std::uintptr_t>(frame.data()) % 8 == 0) return frame;
  scratch.resize((frame.size() + 7) / 8);
  std::memcpy(scratch.data(), frame.data(), frame.size());
  return {reinterpret_cast<const std::byte*>(scratch.data()), frame.size()};
}

std::expected<Request, RefusedRequest> RequestDecoder::decode(std::span<const ByteView> frames,
                                                              std::size_t frames_in_all) {
  RefusedRequest refused;
  const auto refuse = [&](Error error) {
    refused.error = std::move(error);
    return std::unexpected(refused);
  };
  if (frames.empty()) return refuse({Errc::bad_request, "a request has at least one frame"});
  if (frames[0].size() < head_bytes_min || frames[0].size() > head_bytes_max)
    return refuse(
        {Errc::bad_request, fmt::format("a head frame of {} bytes is outside [{}, {}]",
                                        frames[0].size(), head_bytes_min, head_bytes_max)});
  const ByteView head_frame = aligned(frames[0], head_scratch_);
  const auto* data = reinterpret_cast<const std::uint8_t*>(head_frame.data());

  flatbuffers::Verifier head_verifier(data, head_frame.size(), depth_max, tables_max);
  if (!head_verifier.VerifyBuffer<RequestHead>(wire::RequestIdentifier()))
    return refuse(
        {Errc::bad_request, "the head frame is not a Request FlatBuffer with identifier MRRQ"});
  const auto* head = flatbuffers::GetRoot<RequestHead>(data);
  refused.id_known = true;
  refused.id = head->id();
  if (refused.id == request_id_reserved)
    return refuse(
        {Errc::bad_request, fmt::format("request id {} is reserved", request_id_reserved)});

  auto shape = check_version_and_kind(*head);
  if (!shape) return refuse(shape.error());
  flatbuffers::Verifier verifier(data, head_frame.size(), depth_max, tables_max);
  if (!wire::VerifyRequestBuffer(verifier))
    return refuse({Errc::bad_request,
                   "the request does not verify: a field is missing or lies outside the frame"});
  if (frames_in_all != *shape || frames.size() != *shape)
    return refuse({Errc::bad_request,
                   fmt::format("a {} request has {} frame{}, this one has {}",
                               wire::EnumNameRequestBody(wire::GetRequest(data)->body_type()),
                               *shape, *shape == 1 ? "" : "s", frames_in_all)});

  const ByteView batch_frame = *shape == 2 ? aligned(frames[1], batch_scratch_) : ByteView{};
  auto body = body_of(*wire::GetRequest(data), batch_frame);
  if (!body) return refuse(body.error());
  return Request{refused.id, std::move(*body)};
}

namespace {

using Builder = flatbuffers::FlatBufferBuilder;

struct EncodedBody {
  wire::ReplyBody kind = wire::ReplyBody::NONE;
  flatbuffers::Offset<void> place;
};

// Builds `columns` of one value per row.
template <class T, class Rows, class Pick>
auto column(Builder& builder, const Rows& rows, Pick pick) {
  std::vector<T> values;
  values.reserve(rows.size());
  for (const auto& row : rows) values.push_back(static_cast<T>(pick(row)));
  return builder.CreateVector(values);
}

template <class Rows, class Pick>
auto text_column(Builder& builder, const Rows& rows, Pick pick) {
  std::vector<flatbuffers::Offset<flatbuffers::String>> values;
  values.reserve(rows.size());
  // The same few words ("ok") stand in most rows.
  for (const auto& row : rows) values.push_back(builder.CreateSharedString(std::string(pick(row))));
  return builder.CreateVector(values);
}

EncodedBody encode(Builder& builder, const ProducedReply& reply) {
  return {
      wire::ReplyBody::Produced,
      wire::CreateProduced(builder, reply.offsets.begin.value, reply.offsets.end.value,
                           reply.append_time.ns, static_cast<wire::Ack>(reply.ack), reply.duplicate)
          .Union()};
}

EncodedBody encode(Builder& builder, const FetchedReply& reply) {
  return {wire::ReplyBody::Fetched,
          wire::CreateFetched(builder, reply.start_offset.value, reply.end_offset.value,
                              reply.next_offset.value)
              .Union()};
}

EncodedBody encode(Builder& builder, const SubscribedReply& reply) {
  return {
      wire::ReplyBody::Subscribed,
      wire::CreateSubscribed(builder, reply.start_offset.value, reply.end_offset.value).Union()};
}

EncodedBody encode(Builder& builder, const PushedReply& reply) {
  return {wire::ReplyBody::Pushed,
          wire::CreatePushed(builder, reply.subscription, reply.next_offset.value,
                             reply.end_offset.value, reply.credit_left)
              .Union()};
}

EncodedBody encode(Builder& builder, const OffsetListReply& reply) {
  return {wire::ReplyBody::OffsetList,
          wire::CreateOffsetList(builder, reply.offset.value, reply.start_offset.value,
                                 reply.end_offset.value)
              .Union()};
}

EncodedBody encode(Builder& builder, const TopicListReply& reply) {
  using Row = TopicListReply::Row;
  const auto names =
      text_column(builder, reply.topics, [](const Row& row) { return std::string_view(row.name); });
  std::vector<wire::Id> id_values;
  for (const Row& row : reply.topics) id_values.push_back(wire_id(row.id));
  const auto ids = builder.CreateVectorOfStructs(id_values);
  const auto partitions =
      column<std::uint32_t>(builder, reply.topics, [](const Row& row) { return row.partitions; });
  const auto bytes =
      column<std::uint64_t>(builder, reply.topics, [](const Row& row) { return row.bytes; });
  const auto events =
      column<std::uint64_t>(builder, reply.topics, [](const Row& row) { return row.events; });
  return {wire::ReplyBody::TopicList,
          wire::CreateTopicList(builder, names, ids, partitions, bytes, events).Union()};
}

EncodedBody encode(Builder& builder, const TopicInfoReply& reply) {
  using Row = PartitionInfo;
  const auto& rows = reply.partition_infos;
  const auto name = builder.CreateString(reply.name);
  const auto settings = text_column(builder, reply.settings, [](const std::string& setting) {
    return std::string_view(setting);
  });
  const wire::Id id = wire_id(reply.id);
  flatbuffers::Offset<flatbuffers::Vector<std::uint64_t>> starts, ends, bytes, corrupt;
  flatbuffers::Offset<flatbuffers::Vector<std::uint32_t>> segments;
  flatbuffers::Offset<flatbuffers::Vector<flatbuffers::Offset<flatbuffers::String>>> states;
  flatbuffers::Offset<flatbuffers::Vector<std::int64_t>> times;
  if (!rows.empty()) {
    starts =
        column<std::uint64_t>(builder, rows, [](const Row& row) { return row.start_offset.value; });
    ends =
        column<std::uint64_t>(builder, rows, [](const Row& row) { return row.end_offset.value; });
    bytes = column<std::uint64_t>(builder, rows, [](const Row& row) { return row.bytes; });
    segments = column<std::uint32_t>(builder, rows, [](const Row& row) { return row.segments; });
    states = text_column(builder, rows, [](const Row& row) { return std::string_view(row.state); });
    times =
        column<std::int64_t>(builder, rows, [](const Row& row) { return row.last_append_time.ns; });
    corrupt =
        column<std::uint64_t>(builder, rows, [](const Row& row) { return row.corrupt_events; });
  }
  return {wire::ReplyBody::TopicInfo,
          wire::CreateTopicInfo(builder, name, &id, reply.partitions, reply.created.ns, settings,
                                reply.batch_bytes_max, starts, ends, bytes, segments, states, times,
                                corrupt)
              .Union()};
}

EncodedBody encode(Builder& builder, const PongReply& reply) {
  const auto version = builder.CreateString(reply.broker_version);
  const auto live = builder.CreateString(reply.live_endpoint);
  const wire::Id id = wire_id(reply.cluster_id);
  return {wire::ReplyBody::Pong, wire::CreatePong(builder, version, &id, protocol_version_min,
                                                  protocol_version_max, live, reply.uptime_ms)
                                     .Union()};
}

EncodedBody encode(Builder& builder, const DoneReply&) {
  return {wire::ReplyBody::Done, wire::CreateDone(builder).Union()};
}

}  // namespace

struct ReplyEncoder::Scratch {
  Builder builder{1024};
};

ReplyEncoder::ReplyEncoder() : scratch_(std::make_unique<Scratch>()) {}
ReplyEncoder::~ReplyEncoder() = default;

ByteView ReplyEncoder::encode_head(const Reply& reply) {
  Builder& builder = scratch_->builder;
  builder.Clear();
  flatbuffers::Offset<flatbuffers::String> error_text;
  EncodedBody body;
  const auto* error = std::get_if<Error>(&reply.body);
  if (error != nullptr) {
    CHECK(error->code != Errc::ok, "an error reply names an error");
    error_text = builder.CreateString(error->text);
  } else {
    body = std::visit(
        [&](const auto& value) -> EncodedBody {
          if constexpr (std::is_same_v<std::decay_t<decltype(value)>, Error>) {
            UNREACHABLE("errors are encoded above");
          } else {
            return encode(builder, value);
          }
        },
        reply.body);
  }
  wire::ReplyBuilder head(builder);
  head.add_id(reply.id);
  if (error != nullptr) {
    head.add_error(static_cast<std::uint16_t>(error->code));
    head.add_error_text(error_text);
    head.add_range_begin(error->range_begin);
    head.add_range_end(error->range_end);
  } else {
    head.add_body_type(body.kind);
    head.add_body(body.place);
  }
  wire::FinishReplyBuffer(builder, head.Finish());
  return {reinterpret_cast<const std::byte*>(builder.GetBufferPointer()), builder.GetSize()};
}

std::vector<Buffer>* reply_data(Reply& reply) {
  if (auto* fetched = std::get_if<FetchedReply>(&reply.body)) return &fetched->data;
  if (auto* pushed = std::get_if<PushedReply>(&reply.body)) return &pushed->data;
  return nullptr;
}

}  // namespace millrace
