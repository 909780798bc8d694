// Head frames of requests, built straight with FlatBuffers: independent of the broker's codec and
// of the client library.
#pragma once

#include "tests/support/batch_maker.h"
#include "wire_generated.h"

#include <cstdint>
#include <string_view>
#include <vector>

namespace millrace::test::raw {

struct Place {
  std::string_view topic = "orders";
  std::uint32_t partition = 0;
  std::uint64_t offset = 0;
};
struct FetchLimits {
  std::uint32_t min_bytes = 1, max_bytes = 16u << 20, wait_ms = 0;
};

Bytes ping(std::uint64_t id);
Bytes produce(std::uint64_t id, Place place, wire::Ack ack = wire::Ack::durable);
Bytes fetch(std::uint64_t id, Place place, FetchLimits limits = {});
Bytes subscribe(std::uint64_t id, Place place, std::uint64_t subscription, std::uint32_t credit);
Bytes credit(std::uint64_t id, std::uint64_t subscription, std::uint32_t bytes);
Bytes unsubscribe(std::uint64_t id, std::uint64_t subscription);
Bytes list_offsets(std::uint64_t id, Place place, wire::WhereKind kind, std::int64_t value);
Bytes create_topic(std::uint64_t id, std::string_view topic, std::uint32_t partitions,
                   const std::vector<std::string_view>& settings = {});
Bytes list_topics(std::uint64_t id);
Bytes describe_topic(std::uint64_t id, std::string_view topic);
Bytes delete_topic(std::uint64_t id, std::string_view topic);
Bytes trim_topic(std::uint64_t id, Place place, wire::WhereKind kind, std::int64_t value);
Bytes metadata(std::uint64_t id, std::string_view topic);
// A request with this version and this number as its kind, whose body is a Ping.
Bytes any(std::uint64_t id, std::uint16_t version, std::uint8_t kind);

// One of each kind, ids 1, 2, ...
std::vector<Bytes> one_of_each();

}  // namespace millrace::test::raw
