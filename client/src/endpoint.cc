#include "endpoint.h"

#include <fmt/core.h>

#include <charconv>
#include <cstdint>

namespace millrace::detail {
namespace {

constexpr std::string_view tcp = "tcp://", ipc = "ipc://", inproc = "inproc://";

bool is_port(std::string_view text) {
  std::uint32_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc{} && end == text.data() + text.size() && port >= 1 && port <= 65'535;
}

}  // namespace

std::optional<std::string> endpoint_fault(std::string_view endpoint) {
  const auto no_endpoint = [&](std::string_view why) {
    return fmt::format(
        "'{}' is not the endpoint of a broker{}; write tcp://HOST:PORT or ipc://PATH", endpoint,
        why);
  };
  if (endpoint.starts_with(ipc) && endpoint.size() > ipc.size()) return std::nullopt;
  if (endpoint.starts_with(inproc) && endpoint.size() > inproc.size()) return std::nullopt;
  if (!endpoint.starts_with(tcp)) return no_endpoint("");
  const std::string_view place = endpoint.substr(tcp.size());
  const std::size_t colon = place.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return no_endpoint("");
  if (place.substr(0, colon) == "*") return no_endpoint(": '*' can be listened on, not dialled");
  if (!is_port(place.substr(colon + 1))) return no_endpoint(": its port is not 1 to 65535");
  return std::nullopt;
}

bool is_ipv6_endpoint(std::string_view endpoint) {
  return endpoint.starts_with(tcp) && endpoint.substr(tcp.size()).starts_with('[');
}

}  // namespace millrace::detail
