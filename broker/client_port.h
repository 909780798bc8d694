// Seam: answers a client. The daemon's is wire/zmq_client_port; the simulator has its own.
#pragma once

#include "broker/requests.h"

#include <cstdint>

namespace millrace {

// A client's return address for as long as it is connected. Never an identity.
struct ClientHandle {
  std::uint64_t value = 0;
  friend auto operator<=>(const ClientHandle&, const ClientHandle&) = default;
};

enum class SendResult {
  sent,
  busy,  // this client's queue is full: keep the reply and try again in a later turn
  gone,  // forget this client
};

class ClientPort {
 public:
  virtual ~ClientPort() = default;
  // Takes the reply's buffers when it answers `sent`; leaves `reply` alone otherwise.
  virtual SendResult send(ClientHandle client, Reply& reply) = 0;
  // Bytes of slabs that replies which were `sent` still keep, because the client has not taken
  // them: of one client, and of all. Goes down by itself.
  virtual std::uint64_t pinned_bytes(ClientHandle) const { return 0; }
  virtual std::uint64_t pinned_bytes() const { return 0; }
};

// Seam: the live feed. The daemon's is wire/live_feed.
class LivePort {
 public:
  virtual ~LivePort() = default;
  // `batch` is one durable batch (header and body). Dropped for subscribers that cannot keep up.
  virtual void publish(std::string_view topic, PartitionIndex partition, const Buffer& batch) = 0;
};

}  // namespace millrace
