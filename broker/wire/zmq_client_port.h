// The ROUTER: every client request comes in here and every reply leaves here.
//
// Trip one and two: station two (receive, own, hand to the codec) and the last one (send).
// Implements ClientPort. Owner: shard_thread. Thread: the shard's.
//
// A routing id is a return address for as long as a client is connected, never an identity; the
// shard knows clients by handles only. libzmq does not tell when a peer is gone: it shows when a
// send answers "unreachable". Clients with open subscriptions are therefore probed with an empty
// reply (id request_id_reserved, body Done) when nothing went either way for probe_interval;
// clients without any are forgotten after idle_expiry and start anew with their next request. Sends
// never wait, and a reply of several frames goes out whole or not at all: libzmq answers "again"
// for the first frame only.
#pragma once

#include "broker/client_port.h"
#include "broker/metrics/metrics.h"
#include "broker/wire/codec.h"
#include "broker/wire/zmq_message.h"
#include "broker/wire/zmq_pump.h"
#include "broker/wire/zmq_socket.h"
#include "storage/io/clock.h"

#include <cstdint>
#include <functional>
#include <list>
#include <string>
#include <unordered_map>

namespace millrace {

// Where requests go: the Shard, behind an interface so that this file can be tested by itself.
class RequestTarget {
 public:
  virtual ~RequestTarget() = default;
  virtual void handle(ClientHandle client, Request&& request) = 0;
  virtual void refuse(ClientHandle client, std::uint64_t request_id, Error error) = 0;
  virtual void client_gone(ClientHandle client) = 0;
};

struct ClientPortOptions {
  // Largest frame that is read; libzmq drops the connection of whoever sends a larger one (PR-06).
  std::uint64_t frame_bytes_max = 64 * MiB + 64 * KiB;
  // Messages that may wait per client, each way.
  int queue_messages = 64;
  std::size_t clients_max = 65'536;
  Duration probe_interval = seconds(30);
  Duration idle_expiry = seconds(600);
  // Whose connection takes nothing for so long is dropped (TCP alone), or its replies would be kept
  // for ever.
  Duration stall_max = seconds(30);
  bool ipv6 = false;
};

class ZmqClientPort : public ClientPort, public PumpTarget {
 public:
  static Result<std::unique_ptr<ZmqClientPort>> open(void* context,
                                                     const ClientPortOptions& options, Clock& clock,
                                                     ShardMetrics& metrics);
  ~ZmqClientPort() override;

  // Requests are received only once a target is set.
  void set_target(RequestTarget* target) { target_ = target; }
  Result<std::string> bind(const std::string& endpoint) { return socket_.bind(endpoint); }
  ZmqSocket& socket() { return socket_; }

  // ClientPort
  SendResult send(ClientHandle client, Reply& reply) override;
  std::uint64_t pinned_bytes(ClientHandle client) const override;
  std::uint64_t pinned_bytes() const override { return pinned_->load(std::memory_order_relaxed); }

  // PumpTarget
  bool receive_one() override;

  // Probes and forgets as said above; looks at no more than a bounded number of clients. Called
  // about once a second.
  void tend(Instant now);

  std::size_t client_count() const { return by_handle_.size(); }

 private:
  ZmqClientPort(ZmqSocket socket, const ClientPortOptions& options, Clock& clock,
                ShardMetrics& metrics);

  struct Client {
    std::string routing_id;
    ClientHandle handle;
    Instant last_traffic;
    bool subscribes = false;
    PinnedBytes pinned = make_pinned_bytes();
  };
  // Least recently active first.
  using Clients = std::list<Client>;

  // Null: there are clients_max already.
  Client* client_of(const zmq::message_t& routing_id);
  void touch(Clients::iterator client);
  void handle_message(Client& client, std::size_t frames_in_all);
  void answer_unknown(const zmq::message_t& routing_id);
  SendResult send_to(std::string_view routing_id, Reply& reply, const PinnedBytes& pinned);
  void forget(Clients::iterator client);
  void probe(Clients::iterator client);

  ZmqSocket socket_;
  ClientPortOptions options_;
  Clock& clock_;
  ShardMetrics& metrics_;
  RequestTarget* target_ = nullptr;
  RequestDecoder decoder_;
  ReplyEncoder encoder_;
  zmq::message_t routing_id_, rest_;
  zmq::message_t frames_[request_frames_max];
  std::uint64_t next_handle_ = 1;
  PinnedBytes pinned_ = make_pinned_bytes();
  Clients clients_;
  std::unordered_map<std::string, Clients::iterator> by_routing_id_;
  std::unordered_map<std::uint64_t, Clients::iterator> by_handle_;
};

}  // namespace millrace
