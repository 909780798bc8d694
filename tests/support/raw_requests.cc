#include "tests/support/raw_requests.h"

#include <cstring>

namespace millrace::test::raw {
namespace {

using Builder = flatbuffers::FlatBufferBuilder;

Bytes finish(Builder& builder, std::uint64_t id, std::uint16_t version, wire::RequestBody kind,
             flatbuffers::Offset<void> body) {
  builder.Finish(wire::CreateRequest(builder, version, id, kind, body), wire::RequestIdentifier());
  Bytes out(builder.GetSize());
  std::memcpy(out.data(), builder.GetBufferPointer(), out.size());
  return out;
}

// `make` answers the body's place in the builder.
template <class Make>
Bytes request(std::uint64_t id, wire::RequestBody kind, Make make) {
  Builder builder;
  const flatbuffers::Offset<void> body = make(builder).Union();
  return finish(builder, id, 1, kind, body);
}

flatbuffers::Offset<flatbuffers::String> text(Builder& builder, std::string_view value) {
  return builder.CreateString(value.data(), value.size());
}

}  // namespace

Bytes ping(std::uint64_t id) {
  return request(id, wire::RequestBody::Ping, [](Builder& b) { return wire::CreatePing(b); });
}

Bytes produce(std::uint64_t id, Place place, wire::Ack ack) {
  return request(id, wire::RequestBody::Produce, [&](Builder& b) {
    return wire::CreateProduce(b, text(b, place.topic), nullptr, place.partition, ack);
  });
}

Bytes fetch(std::uint64_t id, Place place, FetchLimits limits) {
  return request(id, wire::RequestBody::Fetch, [&](Builder& b) {
    return wire::CreateFetch(b, text(b, place.topic), nullptr, place.partition, place.offset,
                             limits.min_bytes, limits.max_bytes, limits.wait_ms);
  });
}

Bytes subscribe(std::uint64_t id, Place place, std::uint64_t subscription, std::uint32_t credit) {
  return request(id, wire::RequestBody::Subscribe, [&](Builder& b) {
    return wire::CreateSubscribe(b, subscription, text(b, place.topic), nullptr, place.partition,
                                 place.offset, credit);
  });
}

Bytes credit(std::uint64_t id, std::uint64_t subscription, std::uint32_t bytes) {
  return request(id, wire::RequestBody::Credit,
                 [&](Builder& b) { return wire::CreateCredit(b, subscription, bytes); });
}

Bytes unsubscribe(std::uint64_t id, std::uint64_t subscription) {
  return request(id, wire::RequestBody::Unsubscribe,
                 [&](Builder& b) { return wire::CreateUnsubscribe(b, subscription); });
}

Bytes list_offsets(std::uint64_t id, Place place, wire::WhereKind kind, std::int64_t value) {
  const wire::Where where(kind, value);
  return request(id, wire::RequestBody::ListOffsets, [&](Builder& b) {
    return wire::CreateListOffsets(b, text(b, place.topic), nullptr, place.partition, &where);
  });
}

Bytes create_topic(std::uint64_t id, std::string_view topic, std::uint32_t partitions,
                   const std::vector<std::string_view>& settings) {
  return request(id, wire::RequestBody::CreateTopic, [&](Builder& b) {
    std::vector<flatbuffers::Offset<flatbuffers::String>> texts;
    for (const std::string_view setting : settings) texts.push_back(text(b, setting));
    const auto vector =
        texts.empty()
            ? flatbuffers::Offset<flatbuffers::Vector<flatbuffers::Offset<flatbuffers::String>>>{}
            : b.CreateVector(texts);
    return wire::CreateCreateTopic(b, text(b, topic), partitions, vector);
  });
}

Bytes list_topics(std::uint64_t id) {
  return request(id, wire::RequestBody::ListTopics,
                 [](Builder& b) { return wire::CreateListTopics(b); });
}

Bytes describe_topic(std::uint64_t id, std::string_view topic) {
  return request(id, wire::RequestBody::DescribeTopic,
                 [&](Builder& b) { return wire::CreateDescribeTopic(b, text(b, topic)); });
}

Bytes delete_topic(std::uint64_t id, std::string_view topic) {
  return request(id, wire::RequestBody::DeleteTopic,
                 [&](Builder& b) { return wire::CreateDeleteTopic(b, text(b, topic)); });
}

Bytes trim_topic(std::uint64_t id, Place place, wire::WhereKind kind, std::int64_t value) {
  const wire::Where where(kind, value);
  return request(id, wire::RequestBody::TrimTopic, [&](Builder& b) {
    return wire::CreateTrimTopic(b, text(b, place.topic), nullptr, place.partition, &where);
  });
}

Bytes metadata(std::uint64_t id, std::string_view topic) {
  return request(id, wire::RequestBody::Metadata,
                 [&](Builder& b) { return wire::CreateMetadata(b, text(b, topic)); });
}

Bytes any(std::uint64_t id, std::uint16_t version, std::uint8_t kind) {
  Builder builder;
  const flatbuffers::Offset<void> body = wire::CreatePing(builder).Union();
  return finish(builder, id, version, static_cast<wire::RequestBody>(kind), body);
}

std::vector<Bytes> one_of_each() {
  return {produce(1, {}),
          fetch(2, {.offset = 7}),
          subscribe(3, {.offset = 7}, 9, 1 << 20),
          credit(4, 9, 4096),
          unsubscribe(5, 9),
          list_offsets(6, {}, wire::WhereKind::time, 1'700'000'000),
          create_topic(7, "orders", 4, {"segment_bytes=1 MiB", "retention_age=7 days"}),
          list_topics(8),
          describe_topic(9, "orders"),
          delete_topic(10, "orders"),
          trim_topic(11, {}, wire::WhereKind::offset, 5),
          metadata(12, "orders"),
          ping(13)};
}

}  // namespace millrace::test::raw
