#include "tests/e2e/tcp_stranger.h"

#include "tests/support/patience.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <stdexcept>
#include <string>

namespace millrace::test {

TcpStranger::TcpStranger(std::string_view address) {
  const int port = std::stoi(std::string(address.substr(address.rfind(':') + 1)));
  descriptor_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in peer{};
  peer.sin_family = AF_INET;
  peer.sin_port = htons(static_cast<std::uint16_t>(port));
  peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(descriptor_, reinterpret_cast<const sockaddr*>(&peer), sizeof peer) != 0) {
    close(descriptor_);
    throw std::runtime_error("nobody listens on " + std::string(address));
  }
}

TcpStranger::~TcpStranger() { close(descriptor_); }

void TcpStranger::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

std::string TcpStranger::receive(std::chrono::milliseconds wait) {
  const auto last = std::chrono::steady_clock::now() + wait;
  std::string out;
  while (true) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        last - std::chrono::steady_clock::now());
    pollfd entry{descriptor_, POLLIN, 0};
    if (left.count() <= 0 || poll(&entry, 1, static_cast<int>(left.count())) <= 0) return out;
    char bytes[4096];
    const ssize_t count = recv(descriptor_, bytes, sizeof bytes, 0);
    if (count <= 0) return is_closed_ = true, out;
    out.append(bytes, static_cast<std::size_t>(count));
  }
}

std::string http_get(std::string_view address, std::string_view path) {
  TcpStranger client(address);
  client.send("GET " + std::string(path) +
              " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  return client.receive(patience);
}

}  // namespace millrace::test
