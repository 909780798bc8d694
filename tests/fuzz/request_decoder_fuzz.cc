// A request message, as a stranger may send it (PR-01, PR-02, PR-04, PR-05, PR-08, PR-09, PR-13).
//
// Input: u8 where the frames begin in memory, u8 how many frames the message had in all, u16 length
// of the first frame, then both frames. What is accepted must come out the same when it is written
// again with FlatBuffers alone and decoded once more.
#include "broker/wire/codec.h"
#include "schemas/batch_body.h"
#include "storage/base/check.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/sealing.h"
#include "tests/support/raw_requests.h"
#include "wire_generated.h"

#include <fmt/core.h>

#include <optional>

namespace millrace::fuzz {
namespace {

constexpr std::size_t front_bytes = 4;

// Frames at an address of the input's choice; each has its own memory, so that a read beside it is
// seen.
class Frame {
 public:
  Frame(ByteView bytes, std::size_t shift) : memory_(shift), shift_(shift) {
    append_bytes(memory_, bytes);
  }
  ByteView view() const { return ByteView(memory_).subspan(shift_); }

 private:
  Bytes memory_;
  std::size_t shift_;
};

struct Message {
  std::size_t shift = 0, frames_in_all = 0;
  Bytes head, batch;

  static Message parse(ByteView input) {
    Message out;
    Input in(input);
    out.shift = in.take<std::uint8_t>() % 8;
    out.frames_in_all = in.take<std::uint8_t>() % 4;
    out.head = copy_of(in.take_bytes(in.take<std::uint16_t>()));
    out.batch = copy_of(in.rest());
    return out;
  }
  Bytes to_input() const {
    Bytes out;
    append(out, static_cast<std::uint8_t>(shift));
    append(out, static_cast<std::uint8_t>(frames_in_all));
    append(out, static_cast<std::uint16_t>(head.size()));
    append_bytes(out, head);
    append_bytes(out, batch);
    return out;
  }
};

// -- what a request says, as text, and the same request written by FlatBuffers
using Builder = flatbuffers::FlatBufferBuilder;
using Text = flatbuffers::Offset<flatbuffers::String>;

struct Written {
  std::string text;
  wire::RequestBody kind = wire::RequestBody::NONE;
  flatbuffers::Offset<void> body;
};

Text put(Builder& builder, std::string_view text) {
  return builder.CreateString(text.data(), text.size());
}

wire::Id id_of(const TopicRef& topic) {
  const auto* bytes = reinterpret_cast<const std::byte*>(topic.id.bytes.data());
  return {load_le<std::uint64_t>(bytes), load_le<std::uint64_t>(bytes + 8)};
}

wire::Where where_of(const Where& where) {
  return {static_cast<wire::WhereKind>(where.kind), where.value};
}

std::string text_of(const TopicRef& topic) {
  return fmt::format("{:?}#{}", std::string(topic.name), topic.id.to_hex());
}

Written write(Builder& b, const ProduceRequest& r) {
  const auto id = id_of(r.topic);
  const auto& h = r.batch.header();
  return {
      fmt::format("produce {} {} {} batch {} {}", text_of(r.topic), r.partition,
                  static_cast<int>(r.ack), r.batch.bytes().size(), h.header_crc),
      wire::RequestBody::Produce,
      wire::CreateProduce(b, put(b, r.topic.name), &id, r.partition, static_cast<wire::Ack>(r.ack))
          .Union()};
}
Written write(Builder& b, const FetchRequest& r) {
  const auto id = id_of(r.topic);
  return {fmt::format("fetch {} {} {} {} {} {}", text_of(r.topic), r.partition, r.offset.value,
                      r.min_bytes, r.max_bytes, r.wait_ms),
          wire::RequestBody::Fetch,
          wire::CreateFetch(b, put(b, r.topic.name), &id, r.partition, r.offset.value, r.min_bytes,
                            r.max_bytes, r.wait_ms)
              .Union()};
}
Written write(Builder& b, const SubscribeRequest& r) {
  const auto id = id_of(r.topic);
  return {fmt::format("subscribe {} {} {} {} {}", r.subscription, text_of(r.topic), r.partition,
                      r.offset.value, r.credit_bytes),
          wire::RequestBody::Subscribe,
          wire::CreateSubscribe(b, r.subscription, put(b, r.topic.name), &id, r.partition,
                                r.offset.value, r.credit_bytes)
              .Union()};
}
Written write(Builder& b, const CreditRequest& r) {
  return {fmt::format("credit {} {}", r.subscription, r.credit_bytes), wire::RequestBody::Credit,
          wire::CreateCredit(b, r.subscription, r.credit_bytes).Union()};
}
Written write(Builder& b, const UnsubscribeRequest& r) {
  return {fmt::format("unsubscribe {}", r.subscription), wire::RequestBody::Unsubscribe,
          wire::CreateUnsubscribe(b, r.subscription).Union()};
}
Written write(Builder& b, const ListOffsetsRequest& r) {
  const auto id = id_of(r.topic);
  const auto where = where_of(r.where);
  return {fmt::format("list {} {} {} {}", text_of(r.topic), r.partition,
                      static_cast<int>(r.where.kind), r.where.value),
          wire::RequestBody::ListOffsets,
          wire::CreateListOffsets(b, put(b, r.topic.name), &id, r.partition, &where).Union()};
}
Written write(Builder& b, const CreateTopicRequest& r) {
  std::string text = fmt::format("create {:?} {}", std::string(r.name), r.partitions);
  std::vector<Text> settings;
  for (const std::string_view setting : r.settings) {
    text += fmt::format(" {:?}", std::string(setting));
    settings.push_back(put(b, setting));
  }
  return {
      text, wire::RequestBody::CreateTopic,
      wire::CreateCreateTopic(b, put(b, r.name), r.partitions, b.CreateVector(settings)).Union()};
}
Written write(Builder& b, const ListTopicsRequest&) {
  return {"list topics", wire::RequestBody::ListTopics, wire::CreateListTopics(b).Union()};
}
Written write(Builder& b, const DescribeTopicRequest& r) {
  return {fmt::format("describe {}", text_of(r.topic)), wire::RequestBody::DescribeTopic,
          wire::CreateDescribeTopic(b, put(b, r.topic.name)).Union()};
}
Written write(Builder& b, const DeleteTopicRequest& r) {
  const auto id = id_of(r.topic);
  return {fmt::format("delete {}", text_of(r.topic)), wire::RequestBody::DeleteTopic,
          wire::CreateDeleteTopic(b, put(b, r.topic.name), &id).Union()};
}
Written write(Builder& b, const TrimTopicRequest& r) {
  const auto id = id_of(r.topic);
  const auto where = where_of(r.where);
  return {fmt::format("trim {} {} {} {}", text_of(r.topic), r.partition,
                      static_cast<int>(r.where.kind), r.where.value),
          wire::RequestBody::TrimTopic,
          wire::CreateTrimTopic(b, put(b, r.topic.name), &id, r.partition, &where).Union()};
}
Written write(Builder& b, const MetadataRequest& r) {
  return {fmt::format("metadata {}", text_of(r.topic)), wire::RequestBody::Metadata,
          wire::CreateMetadata(b, put(b, r.topic.name)).Union()};
}
Written write(Builder& b, const PingRequest&) {
  return {"ping", wire::RequestBody::Ping, wire::CreatePing(b).Union()};
}

// Everything of a request that a handler may look at is looked at.
void check_batch(const BatchView& batch) {
  const BatchHeader& header = batch.header();
  CHECK(header.event_count > 0, "an accepted batch has events");
  CHECK(header.base_offset.value == 0 && header.segment_id == 0, "an accepted batch has no place");
  CHECK(batch.bytes().size() == header.batch_bytes(), "an accepted batch is whole");
  if (header.codec != Codec::none) return;
  const auto body = BatchBodyView::parse(batch.body(), header.event_count);
  CHECK(body.has_value(), "the columns of an accepted batch agree");
  std::size_t sum = 0;
  std::vector<HeaderView> entries;
  for (std::uint32_t i = 0; i < body->event_count(); ++i) {
    for (const std::byte b : body->payload(i)) sum += static_cast<std::size_t>(b);
    for (const std::byte b : body->key(i)) sum += static_cast<std::size_t>(b);
    CHECK(decode_headers(body->raw_headers(i), entries), "accepted headers are whole");
    sum += static_cast<std::size_t>(body->time(i) & 1);
  }
  keep(sum);
}

void check_again(const Request& request, ByteView batch_frame) {
  Builder builder;
  const Written written =
      std::visit([&](const auto& body) { return write(builder, body); }, request.body);
  builder.Finish(wire::CreateRequest(builder, 1, request.id, written.kind, written.body),
                 wire::RequestIdentifier());
  const Bytes head =
      copy_of({reinterpret_cast<const std::byte*>(builder.GetBufferPointer()), builder.GetSize()});
  // Shared and overlapping strings come out longer than they went in.
  if (head.size() > head_bytes_max) return;
  const bool has_batch = written.kind == wire::RequestBody::Produce;
  const ByteView frames[2] = {head, batch_frame};
  const std::size_t count = has_batch ? 2 : 1;
  RequestDecoder decoder;
  const auto again = decoder.decode({frames, count}, count);
  CHECK(again.has_value(), "what was accepted is accepted again");
  CHECK(again->id == request.id, "an id comes back");
  Builder other;
  const Written second =
      std::visit([&](const auto& body) { return write(other, body); }, again->body);
  CHECK(second.text == written.text, "a request means the same when it is written again");
}

void run(ByteView input) {
  const Message message = Message::parse(input);
  const Frame head(message.head, message.shift), batch(message.batch, message.shift);
  const ByteView frames[2] = {head.view(), batch.view()};
  const std::size_t count = std::min<std::size_t>(message.frames_in_all, 2);
  RequestDecoder decoder;
  const auto request = decoder.decode({frames, count}, message.frames_in_all);
  if (!request) {
    const Error& error = request.error().error;
    CHECK(error.code == Errc::bad_request || error.code == Errc::unsupported ||
              error.code == Errc::bad_batch,
          "a refusal is one of those that the page names");
    CHECK(!error.text.empty() && error.text.size() < 1'000, "a refusal says why, in a line");
    return;
  }
  CHECK(request->id != request_id_reserved, "nobody uses the reserved id");
  if (const auto* produce = std::get_if<ProduceRequest>(&request->body))
    check_batch(produce->batch);
  check_again(*request, message.batch);
}

void mutate(Bytes& input, std::size_t bytes_max, Mutation& mutation) {
  Random& random = mutation.random;
  Message message = Message::parse(input);
  const std::size_t room = bytes_max > front_bytes ? bytes_max - front_bytes : 0;
  if (message.batch.empty() || random.chance(1, 2)) {
    mutation.change(message.head, std::min<std::size_t>(room - std::min(room, message.batch.size()),
                                                        head_bytes_max - 1));
  } else if (random.chance(1, 8)) {
    mutation.change(message.batch, room - std::min(room, message.head.size()));
    seal_batch_again(message.batch);
  } else {
    change_batch_in_place(message.batch, mutation);
  }
  if (random.chance(1, 16)) message.shift = random.below(8);
  if (random.chance(1, 16)) message.frames_in_all = random.below(4);
  input = message.to_input();
}

std::vector<Seed> seeds() {
  std::vector<Seed> out;
  const auto add = [&](std::string name, Bytes head, Bytes batch = {}) {
    const std::size_t frames = batch.empty() ? 1 : 2;
    out.push_back({std::move(name),
                   Message{out.size() % 8, frames, std::move(head), std::move(batch)}.to_input()});
  };
  for (const Bytes& head : test::raw::one_of_each()) {
    if (out.empty()) {
      add("produce", head, test::make_batch({{"key", "payload"}, {"", "second"}}));
    } else {
      add(fmt::format("request-{:02}", out.size()), head);
    }
  }
  add("produce-session", test::raw::produce(1, {}), test::make_batch("x", {9, 1, 7}));
  add("newer-version", test::raw::any(1, 9, 13));
  add("unknown-kind", test::raw::any(1, 1, 99));
  return out;
}

const Register registered({"request_decoder", run, mutate, seeds});

}  // namespace
}  // namespace millrace::fuzz
