// Every client request and reply as plain structs. wire/codec makes requests out of frames and
// frames out of replies; the core never sees FlatBuffers or ZeroMQ.
//
// Views (string_view, ByteView) in requests point into the received frames and live for the call of
// Shard::handle only.
#pragma once

#include "storage/base/ids.h"
#include "storage/base/result.h"
#include "storage/format/batch.h"
#include "storage/slab.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace millrace {

enum class Ack : std::uint8_t { none = 0, received = 1, durable = 2 };

struct Where {
  enum class Kind : std::uint8_t { start = 0, end = 1, before_end = 2, offset = 3, time = 4 };
  Kind kind = Kind::start;
  std::int64_t value = 0;
};

// A topic by name; `id` none means whatever incarnation stands now.
struct TopicRef {
  std::string_view name;
  TopicId id;
};

struct ProduceRequest {
  TopicRef topic;
  PartitionIndex partition = 0;
  Ack ack = Ack::durable;
  BatchView batch;  // header and body verified, columns checked
};
struct FetchRequest {
  TopicRef topic;
  PartitionIndex partition = 0;
  Offset offset;
  std::uint32_t min_bytes = 1;
  std::uint32_t max_bytes = 16 * MiB;
  std::uint32_t wait_ms = 500;
};
struct SubscribeRequest {
  std::uint64_t subscription = 0;
  TopicRef topic;
  PartitionIndex partition = 0;
  Offset offset;
  std::uint32_t credit_bytes = 0;
};
struct CreditRequest {
  std::uint64_t subscription = 0;
  std::uint32_t credit_bytes = 0;
};
struct UnsubscribeRequest {
  std::uint64_t subscription = 0;
};
struct ListOffsetsRequest {
  TopicRef topic;
  PartitionIndex partition = 0;
  Where where;
};
struct CreateTopicRequest {
  std::string_view name;
  std::uint32_t partitions = 1;
  std::vector<std::string_view> settings;  // "key=value"
};
struct ListTopicsRequest {};
struct DescribeTopicRequest {
  TopicRef topic;
};
struct DeleteTopicRequest {
  TopicRef topic;
};
struct TrimTopicRequest {
  TopicRef topic;
  PartitionIndex partition = 0;
  Where where;
};
struct MetadataRequest {
  TopicRef topic;
};
struct PingRequest {};

using RequestBody =
    std::variant<ProduceRequest, FetchRequest, SubscribeRequest, CreditRequest, UnsubscribeRequest,
                 ListOffsetsRequest, CreateTopicRequest, ListTopicsRequest, DescribeTopicRequest,
                 DeleteTopicRequest, TrimTopicRequest, MetadataRequest, PingRequest>;

struct Request {
  std::uint64_t id = 0;
  RequestBody body;
};

struct ProducedReply {
  OffsetRange offsets;
  WallTime append_time;
  Ack ack = Ack::durable;
  bool duplicate = false;
};
struct FetchedReply {
  Offset start_offset, end_offset, next_offset;
  std::vector<Buffer> data;
};
struct SubscribedReply {
  Offset start_offset, end_offset;
};
struct PushedReply {
  std::uint64_t subscription = 0;
  Offset next_offset, end_offset;
  std::uint32_t credit_left = 0;
  std::vector<Buffer> data;
};
struct OffsetListReply {
  Offset offset, start_offset, end_offset;
};
struct TopicListReply {
  struct Row {
    std::string name;
    TopicId id;
    std::uint32_t partitions = 0;
    std::uint64_t bytes = 0;
    std::uint64_t events = 0;
  };
  std::vector<Row> topics;  // by name
};
struct PartitionInfo {
  Offset start_offset, end_offset;
  std::uint64_t bytes = 0;
  std::uint32_t segments = 0;
  std::string state;  // "ok", or what is wrong
  WallTime last_append_time;
  std::uint64_t corrupt_events = 0;
};
struct TopicInfoReply {
  std::string name;
  TopicId id;
  std::uint32_t partitions = 0;
  WallTime created;
  std::vector<std::string> settings;  // "key=value", all in force
  std::uint32_t batch_bytes_max = 0;
  std::vector<PartitionInfo> partition_infos;  // empty in a Metadata reply
};
struct PongReply {
  std::string broker_version;
  ClusterId cluster_id;
  std::string live_endpoint;
  std::uint64_t uptime_ms = 0;
};
struct DoneReply {};

using ReplyBody =
    std::variant<Error, ProducedReply, FetchedReply, SubscribedReply, PushedReply, OffsetListReply,
                 TopicListReply, TopicInfoReply, PongReply, DoneReply>;

struct Reply {
  std::uint64_t id = 0;
  ReplyBody body;
};

}  // namespace millrace
