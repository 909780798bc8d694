#include "broker/wire/connection_guard.h"

#include "storage/base/bytes.h"
#include "storage/base/diag.h"

#include <fmt/core.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <climits>

namespace millrace {
namespace {

// An event's first frame: u16 which, u32 value. The second, an address, is not looked at.
constexpr std::size_t value_at = 2;
constexpr std::size_t event_bytes = 6;

}  // namespace

int descriptor_threshold(std::uint64_t limit) {
  const std::uint64_t reserve = std::clamp<std::uint64_t>(limit / 8, 16, 1'024);
  return static_cast<int>(
      std::min<std::uint64_t>(limit - std::min(limit, reserve), std::uint64_t{INT_MAX}));
}

int descriptor_threshold_of_process() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return INT_MAX;
  return descriptor_threshold(limit.rlim_cur);
}

Result<std::unique_ptr<ConnectionGuard>> ConnectionGuard::open(void* context, ZmqSocket& watched,
                                                               int threshold,
                                                               ShardMetrics& metrics) {
  auto events = ZmqSocket::open(context, ZMQ_PAIR);
  if (!events) return fail(events.error());
  // libzmq's I/O thread must never wait for room here.
  events->set(ZMQ_RCVHWM, 0);
  // libzmq gives a name free some time after its socket was closed, and brokers of one process may
  // share a context.
  static std::atomic<std::uint64_t> next_name{0};
  const std::string endpoint = fmt::format("inproc://connections-{}", ++next_name);
  if (auto ok = watched.monitor(endpoint, ZMQ_EVENT_ACCEPTED); !ok) return fail(ok.error());
  if (auto ok = events->connect(endpoint); !ok) {
    watched.end_monitor();
    return fail(ok.error());
  }
  return std::unique_ptr<ConnectionGuard>(
      new ConnectionGuard(watched, std::move(*events), threshold, metrics));
}

ConnectionGuard::ConnectionGuard(ZmqSocket& watched, ZmqSocket events, int threshold,
                                 ShardMetrics& metrics)
    : watched_(watched), events_(std::move(events)), threshold_(threshold), metrics_(metrics) {}

ConnectionGuard::~ConnectionGuard() { watched_.end_monitor(); }

bool ConnectionGuard::receive_one() {
  zmq::message_t event, address;
  if (events_.receive(event) != ZmqSocket::Io::done) return false;
  if (event.more()) static_cast<void>(events_.receive(address));
  if (event.size() != event_bytes) return true;
  const int descriptor =
      load_le<std::int32_t>(static_cast<const std::byte*>(event.data()) + value_at);
  if (descriptor >= threshold_) {
    refuse(descriptor);
  } else {
    refusing_ = false;
  }
  return true;
}

// The descriptor is libzmq's, which closes it when it sees the end. If it has done so already and
// the number is another's by now, that is a file of storage, which knows no shutdown, or a
// connection in the reserve.
void ConnectionGuard::refuse(int descriptor) {
  ::shutdown(descriptor, SHUT_RDWR);
  metrics_.connections_refused.add();
  if (!refusing_)
    diag::warn(
        "wire",
        "{} descriptors are in use: new connections are refused, the rest is for files; raise "
        "the limit with ulimit -n or LimitNOFILE=",
        threshold_);
  refusing_ = true;
}

}  // namespace millrace
