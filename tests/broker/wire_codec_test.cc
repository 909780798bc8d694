// What frames become requests and what frames are refused; what replies look like. Faults PR-01 to
// PR-05, PR-09, PR-13.
#include "broker/wire/codec.h"
#include "reply_generated.h"
#include "schemas/batch_body.h"
#include "storage/base/random.h"
#include "tests/support/raw_requests.h"

#include <catch2/catch.hpp>

#include <cstring>

namespace millrace {
namespace {

using test::Bytes;
namespace raw = test::raw;
using Decoded = std::expected<Request, RefusedRequest>;

Decoded decode(RequestDecoder& decoder, const std::vector<Bytes>& frames) {
  std::vector<ByteView> views(frames.begin(), frames.end());
  return decoder.decode({views.data(), std::min(views.size(), request_frames_max)}, views.size());
}

Decoded decode(const std::vector<Bytes>& frames) {
  static RequestDecoder decoder;
  return decode(decoder, frames);
}

struct Claim {
  Codec codec = Codec::none;
  std::uint64_t raw_bytes = 0;
  std::uint32_t event_count = 0;
};
// The same body under a header that claims this.
Bytes sealed(Bytes batch, const Claim& claim) {
  BatchDraft draft;
  draft.codec = claim.codec;
  draft.raw_bytes = static_cast<std::uint32_t>(claim.raw_bytes);
  draft.event_count = claim.event_count;
  seal_batch(batch, draft);
  return batch;
}

Errc code_of(const Decoded& decoded) { return decoded ? Errc::ok : decoded.error().error.code; }

// All request kinds with the frames they need.
std::vector<std::vector<Bytes>> samples() {
  std::vector<std::vector<Bytes>> out;
  for (Bytes& head : raw::one_of_each()) out.push_back({std::move(head)});
  out[0].push_back(test::make_batch("payload"));
  return out;
}

TEST_CASE("every kind of request is read as it was meant") {
  CHECK(std::get<FetchRequest>(decode({raw::fetch(2, {"orders", 3, 7}, {1, 4096, 250})})->body)
            .offset == Offset{7});
  // A request's views point into its frames.
  const std::vector<Bytes> create_frames = {raw::create_topic(7, "orders", 4, {"a=1", "b=2"})};
  const auto create = decode(create_frames);
  REQUIRE(create);
  CHECK(create->id == 7);
  const auto& body = std::get<CreateTopicRequest>(create->body);
  CHECK(body.name == "orders");
  CHECK(body.partitions == 4);
  CHECK(body.settings == std::vector<std::string_view>{"a=1", "b=2"});
  const std::vector<Bytes> frames = {raw::produce(1, {"orders", 2}, wire::Ack::received),
                                     test::make_batch("payload")};
  const auto produce = decode(frames);
  REQUIRE(produce);
  const auto& request = std::get<ProduceRequest>(produce->body);
  CHECK(request.topic.name == "orders");
  CHECK(request.partition == 2);
  CHECK(request.ack == Ack::received);
  CHECK(test::events_of(request.batch) == std::vector<test::TestEvent>{{"", "payload"}});
  std::size_t kind = 0;
  for (const auto& sample : samples()) {
    INFO("kind " << kind);
    const auto decoded = decode(sample);
    REQUIRE(decoded);
    CHECK(decoded->body.index() == kind++);
  }
}

TEST_CASE("PR-01 a request cut short anywhere is refused and never read past its end") {
  for (const auto& sample : samples()) {
    for (std::size_t length = 0; length < sample[0].size(); ++length) {
      std::vector<Bytes> cut = sample;
      // A copy of its own, so that a sanitizer sees a read past the end.
      cut[0] = Bytes(sample[0].begin(), sample[0].begin() + static_cast<std::ptrdiff_t>(length));
      cut[0].shrink_to_fit();
      const auto decoded = decode(cut);
      INFO("length " << length);
      REQUIRE((!decoded || length >= head_bytes_min));
      if (length + 8 < sample[0].size() && length < 24) CHECK(!decoded);
    }
  }
}

TEST_CASE("PR-01 any changed byte of a request is refused or harmless") {
  for (const auto& sample : samples()) {
    for (std::size_t at = 0; at < sample[0].size(); ++at) {
      for (int bits = 1; bits < 256; bits = bits < 4 ? bits + 1 : bits * 2 + 1) {
        std::vector<Bytes> changed = sample;
        changed[0] = test::flipped(sample[0], at, static_cast<std::uint8_t>(bits));
        const auto decoded = decode(changed);
        if (!decoded) CHECK_FALSE(decoded.error().error.text.empty());
      }
    }
  }
}

TEST_CASE("PR-01 random bytes are refused") {
  const std::uint64_t seed = 20'261'124;
  INFO("seed " << seed);
  Random random(seed);
  for (int round = 0; round < 20'000; ++round) {
    Bytes head = test::random_bytes(random, random.below(200));
    if (head.size() >= 8 && random.chance(1, 2)) std::memcpy(head.data() + 4, "MRRQ", 4);
    const auto decoded = decode({head});
    CHECK_FALSE(decoded);
  }
}

TEST_CASE("PR-02 a verifier bomb is refused at once") {
  // A CreateTopic whose settings all share one long text, and one whose settings are as many as the
  // frame can hold.
  flatbuffers::FlatBufferBuilder builder;
  const auto text = builder.CreateString(std::string(30'000, 'x'));
  const std::vector<flatbuffers::Offset<flatbuffers::String>> settings(7'000, text);
  const auto vector = builder.CreateVector(settings);
  const auto body = wire::CreateCreateTopic(builder, builder.CreateString("orders"), 1, vector);
  builder.Finish(wire::CreateRequest(builder, 1, 1, wire::RequestBody::CreateTopic, body.Union()),
                 wire::RequestIdentifier());
  Bytes bomb(builder.GetSize());
  std::memcpy(bomb.data(), builder.GetBufferPointer(), bomb.size());
  REQUIRE(bomb.size() <= head_bytes_max);
  const auto decoded = decode({bomb});
  REQUIRE(!decoded);
  CHECK(decoded.error().error.code == Errc::bad_request);
  CHECK(decoded.error().id_known);
  CHECK(decoded.error().error.text.find("7000 settings are above the limit") != std::string::npos);
}

TEST_CASE("PR-02 a head frame above its limit is not even looked at") {
  const auto decoded = decode({Bytes(head_bytes_max + 1)});
  REQUIRE(!decoded);
  CHECK_FALSE(decoded.error().id_known);
  CHECK(decoded.error().error.text.find("65536") != std::string::npos);
}

TEST_CASE("PR-04 an unknown ack level or kind of place is refused with what is known") {
  const auto ack =
      decode({raw::produce(1, {}, static_cast<wire::Ack>(9)), test::make_batch("payload")});
  CHECK(code_of(ack) == Errc::bad_request);
  CHECK(ack.error().error.text == "unknown ack level 9; known are 0 to 2");
  const auto where = decode({raw::list_offsets(1, {}, static_cast<wire::WhereKind>(200), 0)});
  CHECK(code_of(where) == Errc::bad_request);
  CHECK(where.error().id == 1);
}

TEST_CASE("PR-04 a produce request without its topic is refused, with its id") {
  flatbuffers::FlatBufferBuilder builder;
  const auto start = builder.StartTable();
  const flatbuffers::Offset<void> body(builder.EndTable(start));
  builder.Finish(wire::CreateRequest(builder, 1, 77, wire::RequestBody::Fetch, body),
                 wire::RequestIdentifier());
  Bytes head(builder.GetSize());
  std::memcpy(head.data(), builder.GetBufferPointer(), head.size());
  const auto decoded = decode({head});
  REQUIRE(!decoded);
  CHECK(decoded.error().id_known);
  CHECK(decoded.error().id == 77);
  CHECK(decoded.error().error.code == Errc::bad_request);
}

TEST_CASE("PR-05 frames at odd addresses are read all the same") {
  for (const auto& sample : samples()) {
    for (std::size_t shift = 0; shift < 8; ++shift) {
      std::vector<std::vector<std::uint64_t>> memory;
      std::vector<ByteView> views;
      for (const Bytes& frame : sample) {
        memory.emplace_back(frame.size() / 8 + 3);
        auto* at = reinterpret_cast<std::byte*>(memory.back().data()) + shift;
        std::memcpy(at, frame.data(), frame.size());
        views.emplace_back(at, frame.size());
      }
      RequestDecoder decoder;
      const auto decoded = decoder.decode(views, views.size());
      INFO("shift " << shift << ": " << (decoded ? "" : decoded.error().error.text));
      REQUIRE(decoded);
      if (const auto* produce = std::get_if<ProduceRequest>(&decoded->body))
        CHECK(test::events_of(produce->batch).size() == 1);
    }
  }
}

TEST_CASE("PR-05 an empty batch frame at an odd address is refused as any other that is no batch") {
  const Bytes head = raw::produce(1, {}), memory(8);
  const ByteView frames[2] = {head, ByteView(memory).subspan(1, 0)};
  RequestDecoder decoder;
  const auto decoded = decoder.decode(frames, 2);
  REQUIRE_FALSE(decoded);
  CHECK(decoded.error().error.code == Errc::bad_batch);
}

TEST_CASE("PR-08 any other number of frames is refused with the shape that is right") {
  const Bytes batch = test::make_batch("payload");
  CHECK(code_of(decode(std::vector<Bytes>{})) == Errc::bad_request);
  CHECK(code_of(decode({Bytes{}})) == Errc::bad_request);
  CHECK(code_of(decode({raw::produce(1, {})})) == Errc::bad_request);
  CHECK(code_of(decode({raw::ping(1), batch})) == Errc::bad_request);
  CHECK(code_of(decode({raw::produce(1, {}), batch, batch})) == Errc::bad_request);
  const auto many = decode(std::vector<Bytes>(1000, raw::ping(5)));
  REQUIRE(!many);
  CHECK(many.error().id == 5);
  CHECK(many.error().error.text == "a Ping request has 1 frame, this one has 1000");
}

TEST_CASE("PR-09 another version or an unknown kind is answered with what is supported") {
  const auto newer = decode({raw::any(3, 2, 13)});
  REQUIRE(!newer);
  CHECK(newer.error().id_known);
  CHECK(newer.error().id == 3);
  CHECK(newer.error().error.code == Errc::unsupported);
  CHECK(newer.error().error.text ==
        "protocol version 2 is not supported; this broker speaks 1 to 1");
  CHECK(code_of(decode({raw::any(3, 0, 13)})) == Errc::unsupported);
  const auto kind = decode({raw::any(4, 1, 200)});
  REQUIRE(!kind);
  CHECK(kind.error().id == 4);
  CHECK(kind.error().error.text ==
        "request kind 200 is not supported; protocol version 1 has kinds 1 to 13");
}

TEST_CASE("PR-13 a batch that lies is refused") {
  const Bytes head = raw::produce(1, {});
  const Bytes good = test::make_batch({{"k1", "one"}, {"k2", "two"}});
  REQUIRE(decode({head, good}));
  const ByteView body = ByteView(good).subspan(batch_layout::header_bytes);
  const auto raw_bytes = static_cast<std::uint32_t>(body.size());

  SECTION("one event more than its columns hold") {
    const auto decoded = decode({head, sealed(good, {Codec::none, raw_bytes, 3})});
    CHECK(code_of(decoded) == Errc::bad_batch);
  }
  SECTION("one event less") {
    CHECK(code_of(decode({head, sealed(good, {Codec::none, raw_bytes, 1})})) == Errc::bad_batch);
  }
  SECTION("another largest time than its events have") {
    BatchDraft draft;
    draft.raw_bytes = raw_bytes;
    draft.event_count = 2;
    draft.max_event_time.ns = parse_batch_header(good)->max_event_time.ns + 1;
    Bytes lying = good;
    seal_batch(lying, draft);
    const auto decoded = decode({head, lying});
    CHECK(code_of(decoded) == Errc::bad_batch);
    CHECK(decoded.error().error.text.find("largest event time") != std::string::npos);
  }
  SECTION("no events") {
    CHECK(code_of(decode({head, sealed(good, {Codec::none, raw_bytes, 0})})) == Errc::bad_batch);
  }
  SECTION("any changed byte") {
    for (std::size_t at = 0; at < good.size(); ++at) {
      INFO("byte " << at);
      CHECK(code_of(decode({head, test::flipped(good, at, 1)})) != Errc::ok);
    }
  }
  SECTION("cut short or with something behind it") {
    CHECK(code_of(decode({head, Bytes(good.begin(), good.end() - 1)})) == Errc::bad_batch);
    Bytes longer = good;
    longer.resize(good.size() + 8);
    CHECK(code_of(decode({head, longer})) == Errc::bad_batch);
    CHECK(code_of(decode({head, Bytes{}})) == Errc::bad_batch);
  }
  SECTION("an offset of its own") {
    Bytes placed = good;
    const auto header = parse_batch_header(placed);
    REQUIRE(header);
    BatchPlace place;
    place.base_offset = Offset{5};
    stamp_batch(placed, *header, place);
    CHECK(code_of(decode({head, placed})) == Errc::bad_batch);
    place = {};
    place.segment_id = 9;
    stamp_batch(placed, *parse_batch_header(placed), place);
    CHECK(code_of(decode({head, placed})) == Errc::bad_batch);
  }
}

TEST_CASE("PR-12 a compressed batch is taken by its declared sizes, never undone") {
  const Bytes head = raw::produce(1, {});
  Bytes batch(batch_layout::header_bytes + 64, std::byte{0x5a});
  CHECK(decode({head, sealed(batch, {Codec::zstd, 60'000, 3})}));
  // 64 bytes that claim to be 64 MiB.
  CHECK(code_of(decode({head, sealed(batch, {Codec::zstd, 64 * MiB, 3})})) == Errc::bad_batch);
  CHECK(code_of(decode({head, sealed(batch, {Codec::lz4, UINT32_MAX, 3})})) == Errc::bad_batch);
}

TEST_CASE("PR-23 offsets outside their range are refused, not computed with") {
  CHECK(code_of(decode({raw::fetch(1, {.offset = UINT64_MAX})})) == Errc::bad_request);
  CHECK(code_of(decode({raw::fetch(1, {.offset = offset_max.value + 1})})) == Errc::bad_request);
  CHECK(decode({raw::fetch(1, {.offset = offset_max.value})}));
  CHECK(code_of(decode({raw::subscribe(1, {.offset = 1ull << 63}, 1, 1)})) == Errc::bad_request);
  CHECK(code_of(decode({raw::list_offsets(1, {}, wire::WhereKind::before_end, -1)})) ==
        Errc::bad_request);
  CHECK(code_of(decode({raw::list_offsets(1, {}, wire::WhereKind::offset, INT64_MAX)})) ==
        Errc::bad_request);
  CHECK(decode({raw::list_offsets(1, {}, wire::WhereKind::time, INT64_MIN)}));
}

TEST_CASE("the reserved id is refused") {
  CHECK(code_of(decode({raw::ping(request_id_reserved)})) == Errc::bad_request);
}

const wire::Reply& parsed(ByteView head) {
  flatbuffers::Verifier verifier(reinterpret_cast<const std::uint8_t*>(head.data()), head.size());
  REQUIRE(wire::VerifyReplyBuffer(verifier));
  return *wire::GetReply(head.data());
}

TEST_CASE("replies carry what the broker said") {
  ReplyEncoder encoder;
  SECTION("produced") {
    const auto& reply = parsed(encoder.encode_head(
        {9, ProducedReply{{Offset{10}, Offset{12}}, WallTime{77}, Ack::received, true}}));
    CHECK(reply.id() == 9);
    CHECK(reply.error() == 0);
    const auto* body = reply.body_as_Produced();
    REQUIRE(body != nullptr);
    CHECK(body->base_offset() == 10);
    CHECK(body->end_offset() == 12);
    CHECK(body->append_time() == 77);
    CHECK(body->ack() == wire::Ack::received);
    CHECK(body->duplicate());
  }
  SECTION("an error with its range") {
    Error error{Errc::corrupt, "offsets [5, 9) do not verify"};
    error.range_begin = 5;
    error.range_end = 9;
    const auto& reply = parsed(encoder.encode_head({9, error}));
    CHECK(reply.error() == 62);
    CHECK(reply.error_text()->str() == "offsets [5, 9) do not verify");
    CHECK(reply.range_begin() == 5);
    CHECK(reply.range_end() == 9);
    CHECK(reply.body() == nullptr);
  }
  SECTION("a topic and its partitions") {
    TopicInfoReply info{"orders", {}, 2, WallTime{5}, {"a=1"}, 1024, {{}, {}}};
    info.id.bytes[0] = 1;
    info.id.bytes[15] = 2;
    info.partition_infos[1].state = "read_only: disk failed";
    const auto* body = parsed(encoder.encode_head({1, info})).body_as_TopicInfo();
    REQUIRE(body != nullptr);
    CHECK(body->id()->high() == 1);
    CHECK(body->id()->low() == (2ull << 56));
    CHECK(body->states()->Get(1)->str() == "read_only: disk failed");
    CHECK(body->start_offsets()->size() == 2);
    const auto* bare = parsed(encoder.encode_head({1, TopicInfoReply{}})).body_as_TopicInfo();
    CHECK(bare->start_offsets() == nullptr);
  }
  SECTION("one after the other from the same encoder") {
    for (std::uint64_t id = 1; id < 100; ++id)
      CHECK(parsed(encoder.encode_head({id, DoneReply{}})).id() == id);
  }
}

}  // namespace
}  // namespace millrace
