// Keeps one ZeroMQ socket and the reactor honest with each other. All knowledge about ZMQ_FD lives
// here.
//
// The descriptor is edge-triggered and its edge means only "look at the socket": any call on the
// socket may have eaten it, and a readable descriptor does not mean a message (Z-10). So the edge
// merely marks the socket; the turn drains it up to a budget, and before the loop sleeps
// `must_not_sleep` reads the socket's events once more. A safety deadline bounds what a missed edge
// could cost.
//
// Owner: shard_thread. Thread: the shard's. Socket and reactor outlive it.
#pragma once

#include "broker/wire/zmq_socket.h"
#include "storage/io/reactor.h"

#include <cstddef>

namespace millrace {

// Who takes messages off the socket.
class PumpTarget {
 public:
  virtual ~PumpTarget() = default;
  // Receives and handles one whole message. False: there was none.
  virtual bool receive_one() = 0;
};

class ZmqPump : public Watcher {
 public:
  static constexpr Duration safety_interval = milliseconds(100);

  ZmqPump(Reactor& reactor, ZmqSocket& socket, PumpTarget& target);
  ZmqPump(const ZmqPump&) = delete;
  ZmqPump& operator=(const ZmqPump&) = delete;
  ~ZmqPump() override;

  Result<void> start();

  // Hands up to `budget` messages to the target; answers how many.
  std::size_t drain(std::size_t budget);
  // After everything was sent, before the loop sleeps: whether messages wait.
  bool must_not_sleep();

  void on_readable() override { ready_ = true; }

 private:
  Reactor& reactor_;
  ZmqSocket& socket_;
  PumpTarget& target_;
  int descriptor_ = -1;
  bool ready_ = true;  // look once at the start: messages may have come before the watch
};

}  // namespace millrace
