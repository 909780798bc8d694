// A TCP peer that speaks no ZeroMQ: sends bytes, reads what comes, leaves.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace millrace::test {

class TcpStranger {
 public:
  // "tcp://host:port" or "host:port", on 127.0.0.1. Throws when nobody listens.
  explicit TcpStranger(std::string_view address);
  TcpStranger(const TcpStranger&) = delete;
  TcpStranger& operator=(const TcpStranger&) = delete;
  ~TcpStranger();

  // What the peer no longer takes is dropped.
  void send(std::string_view bytes);
  // All that comes until the peer closes or `wait` is over.
  std::string receive(std::chrono::milliseconds wait);
  // The peer closed, as the last receive() saw.
  bool is_closed() const { return is_closed_; }

 private:
  int descriptor_ = -1;
  bool is_closed_ = false;
};

// The whole answer to GET `path`.
std::string http_get(std::string_view address, std::string_view path);

}  // namespace millrace::test
