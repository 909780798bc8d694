// Keeps file descriptors free for storage while peers connect without end (PR-19, ST-21).
//
// libzmq accepts whoever comes. At the process's limit accept fails, its I/O thread tries again at
// once and for ever, and no segment can be made either. So connections whose descriptor lies in the
// reserve are closed as soon as libzmq says that it accepted them. Descriptors are given lowest
// first:
//
//   0            files, sockets, connections           threshold       limit
//   |--------------------------------------------------|---------------|
//                                                        storage, and connections that are about to
//                                                        go
//
// so one that lies above the threshold says that all below are in use; nothing is counted.
//
// Owner: shard_loop. Thread: the shard's. Watches one socket, which outlives it: libzmq's I/O
// thread waits on a monitor that nobody reads, so the watch ends first. Fails: open answers
// bad_state when there are no descriptors for the guard itself. A burst that fills the reserve
// before the shard's next turn makes storage wait (it resumes by itself) and ends with the turns
// that close it.
#pragma once

#include "broker/metrics/metrics.h"
#include "broker/wire/zmq_pump.h"
#include "broker/wire/zmq_socket.h"

#include <memory>
#include <string>

namespace millrace {

// The first descriptor of the reserve under a limit of `limit` descriptors: an eighth of them, 16
// at least and 1,024 at most.
int descriptor_threshold(std::uint64_t limit);
// Under this process's limit now.
int descriptor_threshold_of_process();

class ConnectionGuard : public PumpTarget {
 public:
  // `watched` must not be bound yet, or early connections go unseen.
  static Result<std::unique_ptr<ConnectionGuard>> open(void* context, ZmqSocket& watched,
                                                       int threshold, ShardMetrics& metrics);
  ConnectionGuard(const ConnectionGuard&) = delete;
  ConnectionGuard& operator=(const ConnectionGuard&) = delete;
  ~ConnectionGuard() override;

  // What tells of connections; for a ZmqPump.
  ZmqSocket& events() { return events_; }

  // PumpTarget: one connection.
  bool receive_one() override;

 private:
  ConnectionGuard(ZmqSocket& watched, ZmqSocket events, int threshold, ShardMetrics& metrics);
  void refuse(int descriptor);

  ZmqSocket& watched_;
  ZmqSocket events_;
  int threshold_;
  ShardMetrics& metrics_;
  bool refusing_ = false;  // the last connection was refused: it is said once
};

}  // namespace millrace
