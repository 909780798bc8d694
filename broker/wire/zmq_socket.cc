#include "broker/wire/zmq_socket.h"

#include "broker/wire/listen_error.h"
#include "storage/base/check.h"

#include <fmt/core.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>

namespace millrace {
namespace {

// A peer that opens a connection and says nothing is dropped after this (PR-16).
constexpr int handshake_ms = 3'000;
// A peer whose machine is gone is noticed within this (Z-20).
constexpr int heartbeat_ms = 5'000, heartbeat_timeout_ms = 15'000;
// A port that a broker of this process has let go is closed by libzmq's own thread, a moment later.
constexpr int bind_tries_max = 200, bind_pause_ms = 5;
// Reconnects of many clients after a restart arrive together (PR-17).
constexpr int backlog = 1'024;

// `tcp://*:0` is bound as `tcp://0.0.0.0:port`: a wildcard is listened on, not dialled, and that is
// what is reported.
std::string last_endpoint(void* socket) {
  std::string out(1024, '\0');
  std::size_t bytes = out.size();
  if (zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, out.data(), &bytes) != 0 || bytes == 0) return {};
  out.resize(bytes - 1);  // without the closing NUL
  return out;
}

// Whether a program listens at the path of an ipc endpoint. libzmq removes the file before it
// binds, so that a second broker would take the clients of the first without a word. (Names in the
// abstract space, ipc://@name, have no file; there the kernel refuses.)
bool is_taken(std::string_view endpoint) {
  constexpr std::string_view ipc = "ipc://";
  if (!endpoint.starts_with(ipc)) return false;
  const std::string_view path = endpoint.substr(ipc.size());
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.front() == '@' || path.size() >= sizeof address.sun_path) return false;
  path.copy(address.sun_path, path.size());
  const int descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (descriptor < 0) return false;
  const bool taken =
      ::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ||
      errno == EAGAIN;
  ::close(descriptor);
  return taken;
}

}  // namespace

Result<ZmqSocket> ZmqSocket::open(void* context, int type) {
  ZmqSocket socket{zmq_socket(context, type)};
  if (!socket.socket_)
    return fail(Errc::bad_state,
                fmt::format("cannot make a socket: {}", zmq_strerror(zmq_errno())));
  socket.set(ZMQ_LINGER, 0);
  socket.set(ZMQ_HANDSHAKE_IVL, handshake_ms);
  socket.set(ZMQ_HEARTBEAT_IVL, heartbeat_ms);
  socket.set(ZMQ_HEARTBEAT_TIMEOUT, heartbeat_timeout_ms);
  socket.set(ZMQ_HEARTBEAT_TTL, heartbeat_timeout_ms);
  socket.set(ZMQ_TCP_KEEPALIVE, 1);
  socket.set(ZMQ_TCP_KEEPALIVE_IDLE, 30);
  socket.set(ZMQ_TCP_KEEPALIVE_INTVL, 5);
  socket.set(ZMQ_TCP_KEEPALIVE_CNT, 3);
  socket.set(ZMQ_BACKLOG, backlog);
  return socket;
}

ZmqSocket::~ZmqSocket() {
  if (!socket_) return;
  CHECK(std::this_thread::get_id() == owner_, "a socket is closed by its owner");
  // Names of this process are free at once; by closing alone, when libzmq's own thread comes to it.
  for (const std::string& name : inproc_names_) zmq_unbind(socket_.get(), name.c_str());
}

void* ZmqSocket::handle() {
  CHECK(std::this_thread::get_id() == owner_, "a socket is used by the thread that made it");
  return socket_.get();
}

// TCP_USER_TIMEOUT: bytes that stay unacknowledged, or untransmitted because the peer's window is
// closed. Heartbeats do not show such a peer: it may go on sending.
void ZmqSocket::drop_deaf_peers(Duration stall_max) {
  set(ZMQ_TCP_MAXRT, static_cast<int>(stall_max.ns / 1'000'000));
}

void ZmqSocket::set(int option, int value) {
  CHECK(zmq_setsockopt(handle(), option, &value, sizeof value) == 0, zmq_strerror(zmq_errno()));
}

void ZmqSocket::set(int option, std::int64_t value) {
  CHECK(zmq_setsockopt(handle(), option, &value, sizeof value) == 0, zmq_strerror(zmq_errno()));
}

Result<std::string> ZmqSocket::bind(const std::string& endpoint) {
  if (is_taken(endpoint)) return fail(listen_error(endpoint, EADDRINUSE, zmq_strerror(EADDRINUSE)));
  for (int tries = 1;; ++tries) {
    if (zmq_bind(handle(), endpoint.c_str()) == 0) break;
    const int error = zmq_errno();
    if (error != EADDRINUSE || tries == bind_tries_max)
      return fail(listen_error(endpoint, error, zmq_strerror(error)));
    poll(nullptr, 0, bind_pause_ms);
  }
  if (endpoint.starts_with("inproc://")) inproc_names_.push_back(endpoint);
  return last_endpoint(handle());
}

Result<void> ZmqSocket::connect(const std::string& endpoint) {
  if (zmq_connect(handle(), endpoint.c_str()) == 0) return {};
  return fail(Errc::bad_state,
              fmt::format("cannot connect to {}: {}", endpoint, zmq_strerror(zmq_errno())));
}

Result<void> ZmqSocket::monitor(const std::string& endpoint, int events) {
  if (zmq_socket_monitor(handle(), endpoint.c_str(), events) == 0) return {};
  return fail(Errc::bad_state, fmt::format("cannot tell of connections at {}: {}", endpoint,
                                           zmq_strerror(zmq_errno())));
}

void ZmqSocket::end_monitor() { zmq_socket_monitor(handle(), nullptr, 0); }

int ZmqSocket::descriptor() {
  int value = -1;
  std::size_t bytes = sizeof value;
  CHECK(zmq_getsockopt(handle(), ZMQ_FD, &value, &bytes) == 0, zmq_strerror(zmq_errno()));
  return value;
}

int ZmqSocket::events() {
  int value = 0;
  std::size_t bytes = sizeof value;
  while (zmq_getsockopt(handle(), ZMQ_EVENTS, &value, &bytes) != 0) {
    if (zmq_errno() != EINTR) return 0;  // the context ended; the loop is about to hear of it
  }
  return value;
}

ZmqSocket::Io ZmqSocket::receive(zmq::message_t& message) {
  while (zmq_msg_recv(message.handle(), handle(), ZMQ_DONTWAIT) < 0) {
    if (zmq_errno() != EINTR) return Io::again;
  }
  return Io::done;
}

ZmqSocket::Io ZmqSocket::send(zmq::message_t& message, int flags) {
  while (zmq_msg_send(message.handle(), handle(), flags | ZMQ_DONTWAIT) < 0) {
    const int error = zmq_errno();
    if (error == EINTR) continue;
    return error == EAGAIN ? Io::again : Io::unreachable;
  }
  return Io::done;
}

}  // namespace millrace
