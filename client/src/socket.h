// Thin owners of a ZeroMQ context and a socket, over the C calls: a context may be borrowed (an
// in-process broker's), which the C++ wrapper cannot express. Nothing here blocks or throws.
//
// Thread: a Context any; a Socket the one that uses it, always the same.
#pragma once

#include <zmq.hpp>

#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace millrace::detail {

class Context {
 public:
  // Null: one of our own, ended with this object.
  explicit Context(void* borrowed)
      : context_(borrowed != nullptr ? borrowed : zmq_ctx_new()), owned_(borrowed == nullptr) {}
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  ~Context() {
    // Interrupted by a signal it is to be called again; sockets are closed and none lingers, so it
    // does not wait.
    while (owned_ && context_ != nullptr && zmq_ctx_term(context_) != 0 && zmq_errno() == EINTR) {
    }
  }
  void* handle() const { return context_; }

 private:
  void* context_;
  bool owned_;
};

class Socket {
 public:
  enum class Sent { yes, busy, broken };

  Socket() = default;
  // Check is_open(): a process out of descriptors gets none.
  Socket(const Context& context, int type) : socket_(zmq_socket(context.handle(), type)) {
    if (socket_ != nullptr) set(ZMQ_LINGER, 0);
  }
  Socket(Socket&& other) noexcept : socket_(std::exchange(other.socket_, nullptr)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(socket_, other.socket_);
    return *this;
  }
  ~Socket() { close(); }

  bool is_open() const { return socket_ != nullptr; }
  void* handle() const { return socket_; }
  void close() {
    if (socket_ != nullptr) zmq_close(std::exchange(socket_, nullptr));
  }

  void set(int option, int value) { zmq_setsockopt(socket_, option, &value, sizeof value); }
  void set(int option, std::int64_t value) {
    zmq_setsockopt(socket_, option, &value, sizeof value);
  }
  void set(int option, const std::string& value) {
    zmq_setsockopt(socket_, option, value.data(), value.size());
  }
  bool connect(const std::string& endpoint) { return zmq_connect(socket_, endpoint.c_str()) == 0; }
  bool can_send() const {
    int events = 0;
    std::size_t size = sizeof events;
    return zmq_getsockopt(socket_, ZMQ_EVENTS, &events, &size) == 0 && (events & ZMQ_POLLOUT) != 0;
  }

  // `message` is taken only when the answer is yes.
  Sent send(zmq::message_t& message, bool more) {
    const int flags = ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0);
    while (zmq_msg_send(message.handle(), socket_, flags) < 0) {
      if (zmq_errno() == EINTR) continue;
      return zmq_errno() == EAGAIN ? Sent::busy : Sent::broken;
    }
    return Sent::yes;
  }

  // All parts of the next message; empty when there is none. Parts beyond `parts_max` are read and
  // dropped with the rest.
  std::vector<zmq::message_t> receive(std::size_t parts_max) {
    std::vector<zmq::message_t> parts;
    bool too_many = false;
    for (bool more = true; more;) {
      zmq::message_t part;
      if (zmq_msg_recv(part.handle(), socket_, ZMQ_DONTWAIT) < 0) {
        if (zmq_errno() == EINTR) continue;
        return {};
      }
      more = part.more();
      too_many = too_many || parts.size() == parts_max;
      if (!too_many) parts.push_back(std::move(part));
    }
    if (too_many) {  // something came, but nothing that verifies
      parts.clear();
      parts.emplace_back();
    }
    return parts;
  }

 private:
  void* socket_ = nullptr;
};

// Tells of a socket's connection; inproc sockets have nothing to tell.
class Monitor {
 public:
  Monitor() = default;
  // `name` must be unique in the context.
  Monitor(const Context& context, const Socket& watched, const std::string& name, int events)
      : watched_(watched.handle()), socket_(context, ZMQ_PAIR) {
    zmq_socket_monitor(watched_, name.c_str(), events);
    if (socket_.is_open()) socket_.connect(name);
  }
  Monitor(Monitor&& other) noexcept
      : watched_(std::exchange(other.watched_, nullptr)), socket_(std::move(other.socket_)) {}
  Monitor& operator=(Monitor&& other) noexcept {
    std::swap(watched_, other.watched_);
    socket_ = std::move(other.socket_);
    return *this;
  }
  ~Monitor() { stop(); }

  void* handle() const { return socket_.handle(); }
  // Before the watched socket is closed.
  void stop() {
    if (watched_ != nullptr) zmq_socket_monitor(std::exchange(watched_, nullptr), nullptr, 0);
    socket_.close();
  }
  // The next event's number; 0: none now.
  int next() {
    const std::vector<zmq::message_t> parts = socket_.receive(2);
    if (parts.empty() || parts.front().size() < 2) return 0;
    std::uint16_t event = 0;
    std::memcpy(&event, parts.front().data(), sizeof event);
    return event;
  }

 private:
  void* watched_ = nullptr;
  Socket socket_;
};

}  // namespace millrace::detail
