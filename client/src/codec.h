// Requests and replies of schemas/wire.fbs and reply.fbs as frames. The only place of the client
// that builds or verifies FlatBuffers.
//
// Pure. A reply that decode_reply accepted may be read through its accessors without further
// checks, except that tables and vectors that are not `required` may be null.
#pragma once

#include "errors.h"
#include "millrace/options.h"
#include "millrace/where.h"
#include "reply_generated.h"
#include "storage/base/bytes.h"
#include "storage/base/ids.h"

#include <zmq.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::detail {

// A topic by name, and which incarnation of it is meant.
struct TopicKey {
  std::string name;
  TopicId id;
};

zmq::message_t encode_produce(std::uint64_t id, const TopicKey& topic, std::uint32_t partition,
                              AckLevel ack);
struct FetchWish {
  std::uint32_t partition = 0;
  std::uint64_t offset = 0;
  std::uint32_t max_bytes = 0;
};
// Answered at once, with what is there.
zmq::message_t encode_fetch(std::uint64_t id, const TopicKey& topic, const FetchWish& wish);
struct SubscribeWish {
  std::uint64_t subscription = 0;
  std::uint32_t partition = 0;
  std::uint64_t offset = 0;
  std::uint32_t credit_bytes = 0;
};
zmq::message_t encode_subscribe(std::uint64_t id, const TopicKey& topic, const SubscribeWish& wish);
zmq::message_t encode_credit(std::uint64_t id, std::uint64_t subscription,
                             std::uint32_t credit_bytes);
zmq::message_t encode_unsubscribe(std::uint64_t id, std::uint64_t subscription);
zmq::message_t encode_list_offsets(std::uint64_t id, const TopicKey& topic, std::uint32_t partition,
                                   Place place);
zmq::message_t encode_create_topic(std::uint64_t id, const std::string& topic,
                                   std::uint32_t partitions,
                                   const std::map<std::string, std::string>& settings);
zmq::message_t encode_list_topics(std::uint64_t id);
zmq::message_t encode_describe_topic(std::uint64_t id, const std::string& topic);
zmq::message_t encode_delete_topic(std::uint64_t id, const TopicKey& topic);
zmq::message_t encode_trim_topic(std::uint64_t id, const TopicKey& topic, std::uint32_t partition,
                                 Place before);
zmq::message_t encode_metadata(std::uint64_t id, const std::string& topic);
zmq::message_t encode_ping(std::uint64_t id);

// A verified reply with its data frames. Owns all of it.
class ReplyMessage {
 public:
  const wire::Reply& reply() const { return *root_; }
  std::vector<zmq::message_t>& data() { return data_; }
  // The error that the reply carries, if it does.
  std::optional<ClientError> error() const;

 private:
  friend std::optional<ReplyMessage> decode_reply(std::vector<zmq::message_t>&& frames);
  std::vector<std::uint64_t> control_;  // an aligned private copy of the first frame
  const wire::Reply* root_ = nullptr;
  std::vector<zmq::message_t> data_;
};

// Nothing when the first frame is not a reply that verifies.
std::optional<ReplyMessage> decode_reply(std::vector<zmq::message_t>&& frames);

// Element of a column; one that is absent or short counts as zeros. The verifier does not look at
// how elements of eight bytes are aligned, so they are not read in place (F-3).
template <class T>
T element_of(const flatbuffers::Vector<T>* column, std::uint32_t i) {
  if (column == nullptr || i >= column->size()) return T{};
  return load_le<T>(reinterpret_cast<const std::byte*>(column->Data()) + i * sizeof(T));
}

TopicId topic_id_of(const wire::Id* id);
std::string hex_of(const wire::Id* id);

}  // namespace millrace::detail
