// A reply and its data frames, as a broker gone wild may send them, through the client's decoder
// and its walk over batches.
//
// Input: u8 where data frames begin in memory, u16 length of the head, u16 position of the reader,
// u16 length of the first data frame, then head, first and second data frame.
#include "broker/wire/codec.h"
#include "client/src/batch_reader.h"
#include "client/src/codec.h"
#include "storage/base/check.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/sealing.h"
#include "tests/support/batch_maker.h"

#include <fmt/core.h>

namespace millrace::fuzz {
namespace {

constexpr std::uint32_t batch_bytes_max = 1 << 20;
constexpr std::size_t front_bytes = 7;

struct Message {
  std::uint8_t shift = 0;
  std::uint16_t position = 0;
  Bytes head, first, second;

  static Message parse(ByteView input) {
    Message out;
    Input in(input);
    out.shift = in.take<std::uint8_t>() % 8;
    const auto head = in.take<std::uint16_t>();
    out.position = in.take<std::uint16_t>();
    const auto first = in.take<std::uint16_t>();
    out.head = copy_of(in.take_bytes(head));
    out.first = copy_of(in.take_bytes(first));
    out.second = copy_of(in.rest());
    return out;
  }
  Bytes to_input() const {
    Bytes out;
    append(out, shift);
    append(out, static_cast<std::uint16_t>(head.size()));
    append(out, position);
    append(out, static_cast<std::uint16_t>(first.size()));
    append_bytes(out, head);
    append_bytes(out, first);
    append_bytes(out, second);
    return out;
  }
};

// The frame's bytes begin `shift` bytes behind the front of memory that ends with them.
struct Owned {
  Bytes memory;
  zmq::message_t message;
  Owned(ByteView bytes, std::size_t shift) : memory(shift) {
    append_bytes(memory, bytes);
    message.rebuild(memory.data() + shift, bytes.size(), [](void*, void*) {});
  }
};

// Reads all that an accepted reply may be asked for.
struct Look {
  std::uint64_t sum = 0;
  void at(std::uint64_t number) { sum += number; }
  void at(const flatbuffers::String* text) {
    if (text == nullptr) return;
    for (const char c : text->str()) sum += static_cast<unsigned char>(c);
    CHECK(text->c_str()[text->size()] == 0, "a text ends with a zero");
  }
  void at(const wire::Id* id) {
    if (id != nullptr) sum += detail::hex_of(id).size();
  }
  template <class T>
  void at(const flatbuffers::Vector<T>* column) {
    if (column == nullptr) return;
    for (std::uint32_t i = 0; i < column->size(); ++i) {
      if constexpr (std::is_integral_v<T>) {
        at(static_cast<std::uint64_t>(detail::element_of(column, i)));
      } else {
        at(column->Get(i));
      }
    }
  }
};

void look_at(Look& look, const wire::Reply& reply) {
  look.at(reply.id());
  look.at(reply.error_text());
  if (const auto* list = reply.body_as_TopicList()) {
    look.at(list->names());
    look.at(list->ids());
    look.at(list->partitions());
    look.at(list->bytes());
    look.at(list->events());
  } else if (const auto* info = reply.body_as_TopicInfo()) {
    look.at(info->topic());
    look.at(info->id());
    look.at(info->settings());
    look.at(info->start_offsets());
    look.at(info->end_offsets());
    look.at(info->segments());
    look.at(info->states());
    look.at(static_cast<std::uint64_t>(info->created()));
  } else if (const auto* pong = reply.body_as_Pong()) {
    look.at(pong->broker_version());
    look.at(pong->cluster_id());
    look.at(pong->live());
  } else if (const auto* pushed = reply.body_as_Pushed()) {
    look.at(pushed->next_offset());
  } else if (const auto* fetched = reply.body_as_Fetched()) {
    look.at(fetched->next_offset());
  }
}

void read_batches(const Message& message) {
  std::vector<Owned> owned;
  owned.reserve(2);
  owned.emplace_back(message.first, message.shift);
  owned.emplace_back(message.second, message.shift);
  detail::Delivered delivered;
  for (Owned& frame : owned) delivered.frames.push_back(std::move(frame.message));
  delivered.next_offset = message.position + 10u;
  detail::BatchReader reader("orders", batch_bytes_max);
  detail::ReadCursor cursor;
  cursor.position = message.position;
  if (message.shift == 7) cursor.end = message.position + 3u;
  reader.start(std::move(delivered));
  const std::size_t steps_max = (message.first.size() + message.second.size()) / 8 + 8;
  for (std::size_t steps = 0;; ++steps) {
    CHECK(steps <= steps_max, "a reader comes to an end");
    const std::uint64_t before = cursor.position;
    const auto shown = reader.next(cursor);
    CHECK(cursor.position >= before, "a reader does not go back");
    if (!shown) break;
    if (!*shown) {
      CHECK(shown->error().range_end >= shown->error().range_begin, "damage is a range");
      continue;
    }
    std::uint64_t next = before;
    std::size_t sum = 0;
    for (const EventView& event : (*shown)->events) {
      CHECK(event.offset >= next && event.offset < cursor.end, "offsets rise and stay inside");
      next = event.offset + 1;
      for (const char c : event.payload) sum += static_cast<unsigned char>(c);
      for (const char c : event.key) sum += static_cast<unsigned char>(c);
      sum += event.headers().size();
    }
    CHECK(next == cursor.position, "a reader stands behind what it showed");
    keep(sum);
  }
}

void run(ByteView input) {
  const Message message = Message::parse(input);
  std::vector<zmq::message_t> frames;
  frames.emplace_back(message.head.data(), message.head.size());
  if (auto reply = detail::decode_reply(std::move(frames))) {
    Look look;
    look_at(look, reply->reply());
    const auto error = reply->error();
    CHECK(error.has_value() == (reply->reply().error() != 0), "an error is an error");
    keep(look.sum);
  }
  read_batches(message);
}

void mutate(Bytes& input, std::size_t bytes_max, Mutation& mutation) {
  Random& random = mutation.random;
  Message message = Message::parse(input);
  const std::size_t there = message.head.size() + message.first.size() + message.second.size();
  const std::size_t room = bytes_max > front_bytes + there ? bytes_max - front_bytes - there : 0;
  Bytes& frame = random.chance(1, 2) ? message.first : message.second;
  switch (random.below(6)) {
    case 0:
      message.position = static_cast<std::uint16_t>(random.below(2'000));
      message.shift = static_cast<std::uint8_t>(random.below(8));
      break;
    case 1:
    case 2:
      mutation.change(message.head, std::min<std::size_t>(message.head.size() + room, UINT16_MAX));
      break;
    case 3: shuffle_pieces(frame, random); break;
    case 4: frame.resize(random.below(frame.size() + 1)); break;
    default: change_batch_in_place(frame, mutation); break;
  }
  input = message.to_input();
}

// A batch as a broker sends it: with a place.
Bytes placed(Bytes batch, std::uint64_t base_offset) {
  BatchPlace place;
  place.base_offset = Offset{base_offset};
  place.segment_id = 77;
  stamp_batch(batch, test::view_of(batch).header(), place);
  batch.resize(align_up(batch.size(), 8));
  return batch;
}

std::vector<Seed> seeds() {
  std::vector<Seed> out;
  ReplyEncoder encoder;
  Bytes frame = placed(test::make_batch({{"k", "one"}, {"", "two"}}), 5);
  append_bytes(frame, placed(test::make_batch("three"), 7));
  const Bytes second = placed(test::make_batch("four"), 8);
  const auto add = [&](std::string name, const Reply& reply, bool with_data = false) {
    Message message;
    message.shift = static_cast<std::uint8_t>(out.size() % 8);
    message.position = 5;
    message.head = copy_of(encoder.encode_head(reply));
    if (with_data) {
      message.first = frame;
      message.second = second;
    }
    out.push_back({std::move(name), message.to_input()});
  };
  add("produced", {1, ProducedReply{{Offset{5}, Offset{7}}, WallTime{9}, Ack::durable, true}});
  add("fetched", {2, FetchedReply{Offset{0}, Offset{9}, Offset{9}, {}}}, true);
  add("subscribed", {3, SubscribedReply{Offset{0}, Offset{9}}});
  add("pushed", {4, PushedReply{1, Offset{9}, Offset{9}, 100, {}}}, true);
  add("offsets", {5, OffsetListReply{Offset{3}, Offset{0}, Offset{9}}});
  TopicListReply list;
  list.topics = {{"orders", {}, 4, 100, 9}, {"events", {}, 1, 0, 0}};
  add("topics", {6, list});
  TopicInfoReply info;
  info.name = "orders";
  info.partitions = 2;
  info.settings = {"live=true", "segment_bytes=1 MiB"};
  info.partition_infos.resize(2);
  info.partition_infos[0].state = "ok";
  add("topic", {7, info});
  add("pong", {8, PongReply{"0.1.0", {}, "tcp://127.0.0.1:7712", 5}});
  add("done", {9, DoneReply{}});
  Error corrupt{Errc::corrupt, "offsets [3, 5) do not verify"};
  corrupt.range_begin = 3;
  corrupt.range_end = 5;
  add("error", {10, corrupt});
  return out;
}

const Register registered({"client_reply", run, mutate, seeds});

}  // namespace
}  // namespace millrace::fuzz
