// A DEALER that speaks frames: what a client in another language would be. Shares no code with
// broker or client library.
#pragma once

#include "reply_generated.h"
#include "tests/support/patience.h"
#include "tests/support/raw_requests.h"

#include <zmq.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace millrace::test {

// A verified reply.
struct RawReply {
  Bytes head;
  std::vector<Bytes> data;
  const wire::Reply& get() const { return *wire::GetReply(head.data()); }
  std::uint64_t id() const { return get().id(); }
  std::uint16_t error() const { return get().error(); }
  std::string error_text() const {
    return get().error_text() == nullptr ? "" : get().error_text()->str();
  }
  // Null if it has another body.
  template <class Body>
  const Body* as() const {
    return get().body_as<Body>();
  }
};

class RawClient {
 public:
  // A context of its own unless one is given; `queue_messages` may wait each way.
  explicit RawClient(const std::string& endpoint, void* context = nullptr,
                     int queue_messages = 100'000);
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;
  ~RawClient();

  // False: the queue towards the broker is full.
  bool send(const std::vector<Bytes>& frames);
  // None within `wait`. Throws std::runtime_error for what is no reply.
  std::optional<RawReply> receive(std::chrono::milliseconds wait = patience);
  // The reply to this request; replies to others are dropped. Throws when none comes within `wait`.
  RawReply call(const std::vector<Bytes>& frames, std::chrono::milliseconds wait = patience);

 private:
  void* context_;
  void* socket_;
  bool own_context_;
};

// A SUB of everything below a prefix.
class RawSubscriber {
 public:
  RawSubscriber(const std::string& endpoint, const std::string& prefix, void* context = nullptr);
  RawSubscriber(const RawSubscriber&) = delete;
  RawSubscriber& operator=(const RawSubscriber&) = delete;
  ~RawSubscriber();

  // The frames of one message; none within `wait`.
  std::vector<Bytes> receive(std::chrono::milliseconds wait = patience);

 private:
  void* context_;
  void* socket_;
  bool own_context_;
};

}  // namespace millrace::test
