#include "codec.h"

#include "storage/base/units.h"
#include "wire_generated.h"

#include <cstring>

namespace millrace::detail {
namespace {

using flatbuffers::FlatBufferBuilder;
using flatbuffers::Offset;

constexpr std::uint16_t protocol_version = 1;
constexpr std::size_t reply_bytes_min = 16;
constexpr std::size_t reply_bytes_max = 64 * MiB;
// A reply is a table with one table inside; more is an attack on the verifier's time.
constexpr flatbuffers::uoffset_t depth_max = 4;
constexpr flatbuffers::uoffset_t tables_max = 4;

zmq::message_t finish(FlatBufferBuilder& builder, std::uint64_t id, wire::RequestBody kind,
                      Offset<void> body) {
  wire::FinishRequestBuffer(builder,
                            wire::CreateRequest(builder, protocol_version, id, kind, body));
  return zmq::message_t(builder.GetBufferPointer(), builder.GetSize());
}

wire::Id wire_id(const TopicId& id) {
  std::uint64_t halves[2];
  std::memcpy(halves, id.bytes.data(), sizeof halves);
  return wire::Id(halves[0], halves[1]);
}

wire::Where wire_where(Place place) {
  return wire::Where(static_cast<wire::WhereKind>(place.kind), place.value);
}

}  // namespace

zmq::message_t encode_produce(std::uint64_t id, const TopicKey& topic, std::uint32_t partition,
                              AckLevel ack) {
  FlatBufferBuilder builder(256);
  const wire::Id topic_id = wire_id(topic.id);
  const auto name = builder.CreateString(topic.name);
  const auto body =
      wire::CreateProduce(builder, name, &topic_id, partition, static_cast<wire::Ack>(ack));
  return finish(builder, id, wire::RequestBody::Produce, body.Union());
}

zmq::message_t encode_fetch(std::uint64_t id, const TopicKey& topic, const FetchWish& wish) {
  FlatBufferBuilder builder(256);
  const wire::Id topic_id = wire_id(topic.id);
  const auto name = builder.CreateString(topic.name);
  const auto body = wire::CreateFetch(builder, name, &topic_id, wish.partition, wish.offset, 1,
                                      wish.max_bytes, 0);
  return finish(builder, id, wire::RequestBody::Fetch, body.Union());
}

zmq::message_t encode_subscribe(std::uint64_t id, const TopicKey& topic,
                                const SubscribeWish& wish) {
  FlatBufferBuilder builder(256);
  const wire::Id topic_id = wire_id(topic.id);
  const auto name = builder.CreateString(topic.name);
  const auto body = wire::CreateSubscribe(builder, wish.subscription, name, &topic_id,
                                          wish.partition, wish.offset, wish.credit_bytes);
  return finish(builder, id, wire::RequestBody::Subscribe, body.Union());
}

zmq::message_t encode_credit(std::uint64_t id, std::uint64_t subscription,
                             std::uint32_t credit_bytes) {
  FlatBufferBuilder builder(128);
  return finish(builder, id, wire::RequestBody::Credit,
                wire::CreateCredit(builder, subscription, credit_bytes).Union());
}

zmq::message_t encode_unsubscribe(std::uint64_t id, std::uint64_t subscription) {
  FlatBufferBuilder builder(128);
  return finish(builder, id, wire::RequestBody::Unsubscribe,
                wire::CreateUnsubscribe(builder, subscription).Union());
}

zmq::message_t encode_list_offsets(std::uint64_t id, const TopicKey& topic, std::uint32_t partition,
                                   Place place) {
  FlatBufferBuilder builder(256);
  const wire::Id topic_id = wire_id(topic.id);
  const wire::Where where = wire_where(place);
  const auto name = builder.CreateString(topic.name);
  const auto body = wire::CreateListOffsets(builder, name, &topic_id, partition, &where);
  return finish(builder, id, wire::RequestBody::ListOffsets, body.Union());
}

zmq::message_t encode_create_topic(std::uint64_t id, const std::string& topic,
                                   std::uint32_t partitions,
                                   const std::map<std::string, std::string>& settings) {
  FlatBufferBuilder builder(512);
  std::vector<Offset<flatbuffers::String>> lines;
  for (const auto& [key, value] : settings)
    lines.push_back(builder.CreateString(key + "=" + value));
  const auto name = builder.CreateString(topic);
  const auto vector = builder.CreateVector(lines);
  return finish(builder, id, wire::RequestBody::CreateTopic,
                wire::CreateCreateTopic(builder, name, partitions, vector).Union());
}

zmq::message_t encode_list_topics(std::uint64_t id) {
  FlatBufferBuilder builder(128);
  return finish(builder, id, wire::RequestBody::ListTopics,
                wire::CreateListTopics(builder).Union());
}

zmq::message_t encode_describe_topic(std::uint64_t id, const std::string& topic) {
  FlatBufferBuilder builder(256);
  const auto name = builder.CreateString(topic);
  return finish(builder, id, wire::RequestBody::DescribeTopic,
                wire::CreateDescribeTopic(builder, name).Union());
}

zmq::message_t encode_delete_topic(std::uint64_t id, const TopicKey& topic) {
  FlatBufferBuilder builder(256);
  const wire::Id topic_id = wire_id(topic.id);
  const auto name = builder.CreateString(topic.name);
  return finish(builder, id, wire::RequestBody::DeleteTopic,
                wire::CreateDeleteTopic(builder, name, &topic_id).Union());
}

zmq::message_t encode_trim_topic(std::uint64_t id, const TopicKey& topic, std::uint32_t partition,
                                 Place before) {
  FlatBufferBuilder builder(256);
  const wire::Id topic_id = wire_id(topic.id);
  const wire::Where where = wire_where(before);
  const auto name = builder.CreateString(topic.name);
  const auto body = wire::CreateTrimTopic(builder, name, &topic_id, partition, &where);
  return finish(builder, id, wire::RequestBody::TrimTopic, body.Union());
}

zmq::message_t encode_metadata(std::uint64_t id, const std::string& topic) {
  FlatBufferBuilder builder(256);
  const auto name = builder.CreateString(topic);
  return finish(builder, id, wire::RequestBody::Metadata,
                wire::CreateMetadata(builder, name).Union());
}

zmq::message_t encode_ping(std::uint64_t id) {
  FlatBufferBuilder builder(128);
  return finish(builder, id, wire::RequestBody::Ping, wire::CreatePing(builder).Union());
}

std::optional<ClientError> ReplyMessage::error() const {
  if (root_->error() == 0) return std::nullopt;
  const flatbuffers::String* text = root_->error_text();
  return broker_error(root_->error(), text == nullptr ? std::string() : text->str(),
                      root_->range_begin(), root_->range_end());
}

std::optional<ReplyMessage> decode_reply(std::vector<zmq::message_t>&& frames) {
  if (frames.empty()) return std::nullopt;
  const std::size_t bytes = frames.front().size();
  if (bytes < reply_bytes_min || bytes > reply_bytes_max) return std::nullopt;
  ReplyMessage message;
  // libzmq hands out memory at any alignment, and in process it may be the sender's own.
  message.control_.resize((bytes + 7) / 8);
  std::memcpy(message.control_.data(), frames.front().data(), bytes);
  const auto* data = reinterpret_cast<const std::uint8_t*>(message.control_.data());
  flatbuffers::Verifier verifier(data, bytes, depth_max, tables_max);
  if (!wire::VerifyReplyBuffer(verifier)) return std::nullopt;
  message.root_ = wire::GetReply(data);
  message.data_.assign(std::make_move_iterator(frames.begin() + 1),
                       std::make_move_iterator(frames.end()));
  return message;
}

TopicId topic_id_of(const wire::Id* id) {
  TopicId out;
  if (id == nullptr) return out;
  // As it lies there, `high` first, at any alignment.
  std::memcpy(out.bytes.data(), reinterpret_cast<const std::byte*>(id), sizeof(wire::Id));
  return out;
}

std::string hex_of(const wire::Id* id) { return topic_id_of(id).to_hex(); }

}  // namespace millrace::detail
