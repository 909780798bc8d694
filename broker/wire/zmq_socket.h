// A ZeroMQ socket with an owner: the thread that made it is the only one that may touch it, and
// every call checks that (wrong-thread use of libzmq shows as an assertion long after, faults
// Z-15). Errors become values here; nothing throws.
//
// Owner: zmq_client_port, live_feed. Thread: the shard's. Linger is 0: what a peer did not take in
// time is dropped, so closing never waits for a peer.
#pragma once

#include "storage/base/result.h"
#include "storage/base/units.h"

#include <zmq.hpp>

#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace millrace {

class ZmqSocket {
 public:
  // `type` as ZMQ_ROUTER. Sets what all our sockets share: linger 0, handshake interval,
  // heartbeats, TCP keepalive, backlog. Errors: bad_state with libzmq's words (no more descriptors,
  // context ended).
  static Result<ZmqSocket> open(void* context, int type);
  ZmqSocket(ZmqSocket&&) noexcept = default;
  ZmqSocket& operator=(ZmqSocket&&) noexcept = default;
  ~ZmqSocket();

  // Options count for later binds only (Z-12).
  void set(int option, int value);
  void set(int option, std::int64_t value);
  // A TCP connection whose peer takes nothing of what waits for it is dropped after this time, and
  // what waited is let go. A peer that reads, however slowly, stays.
  void drop_deaf_peers(Duration stall_max);
  // Answers the endpoint as bound: port 0 and wildcards resolved. Errors: bad_config for text that
  // is no endpoint, bad_state for an address in use (for a second) or refused; the text names the
  // endpoint. Blocks that long.
  Result<std::string> bind(const std::string& endpoint);

  // To an endpoint of this process. Errors: bad_state.
  Result<void> connect(const std::string& endpoint);
  // Has `events` of this socket told at `endpoint`, until end_monitor. Errors: bad_state.
  Result<void> monitor(const std::string& endpoint, int events);
  void end_monitor();

  int descriptor();
  // ZMQ_POLLIN and ZMQ_POLLOUT as they are now; also makes the socket look at what its I/O thread
  // told it.
  int events();

  enum class Io { done, again, unreachable };
  Io receive(zmq::message_t& message);
  // Takes the message only when it answers `done`.
  Io send(zmq::message_t& message, int flags);

 private:
  struct Close {
    void operator()(void* socket) const { zmq_close(socket); }
  };
  explicit ZmqSocket(void* socket) : socket_(socket) {}
  void* handle();
  std::unique_ptr<void, Close> socket_;
  std::vector<std::string> inproc_names_;  // bound
  std::thread::id owner_ = std::this_thread::get_id();
};

}  // namespace millrace
