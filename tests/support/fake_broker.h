// A broker made of a ROUTER, a PUB and vectors, for tests of the client: answers by the protocol,
// unless the test's script says otherwise. It keeps what it was sent in memory, across restart().
//
// Thread: its own; the test's calls and the script (which runs on the broker's thread) may come at
// any time.
#pragma once

#include "storage/base/result.h"
#include "storage/format/batch.h"

#include <zmq.hpp>

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace millrace::test {

struct FakeRequest {
  enum class Kind {
    produce,
    fetch,
    subscribe,
    credit,
    unsubscribe,
    list_offsets,
    metadata,
    describe,
    other
  };
  Kind kind = Kind::other;
  std::uint64_t id = 0;
  std::uint32_t partition = 0;
  std::uint64_t offset = 0;
  std::uint64_t subscription = 0;
  std::uint32_t credit_bytes = 0;
  std::optional<BatchHeader> batch;  // of a produce
};

// What the script makes of a request. Default: as a broker would.
struct FakeAnswer {
  enum class Kind {
    normal,
    ignore,      // neither done nor answered
    lose_reply,  // done, not answered
    refuse,      // not done, answered with `error`
    garbage,     // not done, answered with bytes that are no reply
  };
  Kind kind = Kind::normal;
  Error error;
};

struct FakeOptions {
  std::string topic = "orders";
  std::uint32_t partitions = 1;
  std::uint32_t batch_bytes_max = 1 << 20;
};

class FakeBroker {
 public:
  using Script = std::function<FakeAnswer(const FakeRequest&)>;

  explicit FakeBroker(FakeOptions options = {});
  FakeBroker(const FakeBroker&) = delete;
  ~FakeBroker();

  std::string endpoint() const { return endpoint_; }
  std::string live_endpoint() const { return live_endpoint_; }
  void set_script(Script script);
  // Every request so far.
  std::vector<FakeRequest> requests() const;
  std::size_t count(FakeRequest::Kind kind) const;

  // Connections break; what is stored stays. The second comes back at the same endpoint.
  void stop();
  void start();
  void restart() {
    stop();
    start();
  }

  // Appends a batch (as a producer would build it) and publishes it unless `silent`.
  enum class Feed { publish, silent };
  void append(std::uint32_t partition, std::vector<std::byte> batch, Feed feed = Feed::publish);
  // The same, but the stored copy is damaged afterwards.
  void append_damaged(std::uint32_t partition, std::vector<std::byte> batch, std::size_t damage_at);
  // Offsets below `start` are gone.
  void trim(std::uint32_t partition, std::uint64_t start);
  // What produce publishes is dropped from the feed while this is set.
  void drop_feed(bool drop) { drop_feed_ = drop; }
  std::uint64_t end_offset(std::uint32_t partition) const;
  // All payloads stored, in order.
  std::vector<std::string> payloads(std::uint32_t partition) const;
  // Makes the broker forget all producer sessions.
  void forget_producers();

 private:
  struct Stored {
    std::uint64_t base = 0, end = 0;
    std::vector<std::byte> bytes;
  };
  struct Session {
    std::uint32_t epoch = 0;
    std::uint64_t next_sequence = 0;
    struct Produced {
      std::uint64_t sequence = 0;
      std::uint64_t base = 0, end = 0;
    };
    std::vector<Produced> produced;
  };
  struct Partition {
    std::uint64_t start = 0, end = 0;
    std::vector<Stored> batches;
    std::map<std::uint64_t, Session> sessions;
  };
  struct Subscription {
    std::string client;
    std::uint64_t id = 0, request_id = 0;
    std::uint32_t partition = 0;
    std::uint64_t next = 0;
    std::int64_t credit = 0;
  };
  struct Outgoing;

  void run();
  void handle(std::vector<zmq::message_t>& frames);
  void answer(const std::string& client, const FakeRequest& request, const void* body,
              std::vector<std::byte> batch);
  void produce(const std::string& client, const FakeRequest& request, std::vector<std::byte> batch);
  void feed_subscriptions();
  Stored& store(std::uint32_t partition, std::vector<std::byte> batch);
  void publish(std::uint32_t partition, const Stored& stored);
  void send(const std::string& client, const Outgoing& outgoing);
  void refuse(const std::string& client, std::uint64_t id, const Error& error);

  const FakeOptions options_;
  zmq::context_t context_{1};
  std::string endpoint_ = "tcp://127.0.0.1:*";
  std::string live_endpoint_ = "tcp://127.0.0.1:*";
  mutable std::mutex mutex_;  // guards what follows
  Script script_;
  std::vector<FakeRequest> requests_;
  std::vector<Partition> partitions_;
  std::vector<Subscription> subscriptions_;
  std::atomic<bool> drop_feed_{false};
  std::atomic<bool> running_{false};
  std::unique_ptr<zmq::socket_t> router_, publisher_;
  std::thread thread_;
};

}  // namespace millrace::test
