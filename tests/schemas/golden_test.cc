// The golden samples of schemas/golden, which the plain Python encoder wrote, are read by our own
// readers.
#include "reply_generated.h"
#include "schemas/batch_body.h"
#include "storage/format/batch.h"
#include "wire_generated.h"

#include <catch2/catch.hpp>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace millrace {
namespace {

constexpr std::int64_t sample_time = 1'788'264'000'000'000'000;  // 2026-09-01T12:00:00Z

// Hex text with lines of comment; the vector's memory begins on an 8-byte boundary, as operator new
// gives it.
std::vector<std::byte> sample(const std::string& name) {
  std::ifstream file(std::string(MILLRACE_SOURCE_DIR) + "/schemas/golden/v1/" + name + ".hex");
  REQUIRE(file.is_open());
  std::vector<std::byte> bytes;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("#")) continue;
    std::istringstream words(line);
    for (std::string word; words >> word;)
      bytes.push_back(static_cast<std::byte>(std::stoul(word, nullptr, 16)));
  }
  return bytes;
}

const std::uint8_t* data(const std::vector<std::byte>& bytes) {
  return reinterpret_cast<const std::uint8_t*>(bytes.data());
}

const wire::Reply* reply_of(const std::vector<std::byte>& bytes) {
  flatbuffers::Verifier verifier(data(bytes), bytes.size(), 8, 64);
  REQUIRE(wire::VerifyReplyBuffer(verifier));
  return wire::GetReply(data(bytes));
}

const wire::Request* request_of(const std::vector<std::byte>& bytes) {
  flatbuffers::Verifier verifier(data(bytes), bytes.size(), 8, 64);
  REQUIRE(wire::VerifyRequestBuffer(verifier));
  return wire::GetRequest(data(bytes));
}

}  // namespace

TEST_CASE("a golden ping request is read") {
  const auto bytes = sample("ping_request");
  const auto* request = request_of(bytes);
  CHECK(request->version() == 1);
  CHECK(request->id() == 7);
  CHECK(request->body_as_Ping() != nullptr);
}

TEST_CASE("a golden produce request has its defaults") {
  const auto bytes = sample("produce_request");
  const auto* produce = request_of(bytes)->body_as_Produce();
  REQUIRE(produce != nullptr);
  CHECK(produce->topic()->str() == "orders");
  CHECK(produce->topic_id() == nullptr);
  CHECK(produce->partition() == 3);
  CHECK((produce->ack() == wire::Ack::durable));
}

TEST_CASE("a golden ping reply is read") {
  const auto bytes = sample("ping_reply");
  const auto* pong = reply_of(bytes)->body_as_Pong();
  REQUIRE(pong != nullptr);
  CHECK(pong->broker_version()->str() == "0.1.0");
  CHECK(pong->cluster_id()->high() == 0x7766554433221100);
  CHECK(pong->cluster_id()->low() == 0xffeeddccbbaa9988);
  CHECK(pong->protocol_max() == 1);
  CHECK(pong->live()->str() == "tcp://127.0.0.1:7712");
  CHECK(pong->uptime_ms() == 1500);
}

TEST_CASE("a golden error reply names its range") {
  const auto bytes = sample("error_reply");
  const auto* reply = reply_of(bytes);
  CHECK(reply->error() == 25);
  CHECK(reply->body() == nullptr);
  CHECK(reply->range_begin() == 10);
  CHECK(reply->range_end() == 42);
}

TEST_CASE("a golden produced reply is read") {
  const auto bytes = sample("produced_reply");
  const auto* produced = reply_of(bytes)->body_as_Produced();
  REQUIRE(produced != nullptr);
  CHECK(produced->base_offset() == 40);
  CHECK(produced->end_offset() == 42);
  CHECK(produced->append_time() == sample_time + 2'000'000);
  CHECK_FALSE(produced->duplicate());
}

TEST_CASE("a golden batch of two events is read event by event") {
  const auto bytes = sample("batch");
  const auto batch = BatchView::parse(bytes);
  REQUIRE(batch);
  CHECK(batch->header().producer_id == 0x1122334455667788);
  CHECK(batch->header().max_event_time.ns == sample_time + 1'000'000);
  const auto body = BatchBodyView::parse(batch->body(), batch->header().event_count);
  REQUIRE(body);
  CHECK(as_text(body->payload(0)) == R"({"n":1})");
  CHECK(as_text(body->payload(1)) == "hello, millrace");
  CHECK(as_text(body->key(0)) == "repo-1");
  CHECK(body->key(1).empty());
  CHECK(body->time(1) == sample_time + 1'000'000);
  std::vector<HeaderView> headers;
  REQUIRE(decode_headers(body->raw_headers(0), headers));
  REQUIRE(headers.size() == 1);
  CHECK(headers[0].name == "type");
  CHECK(as_text(headers[0].value) == "push");
}

}  // namespace millrace
