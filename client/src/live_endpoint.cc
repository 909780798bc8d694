#include "live_endpoint.h"

#include <string_view>

namespace millrace::detail {
namespace {

constexpr std::string_view tcp = "tcp://";

struct HostAndPort {
  std::string_view host;
  std::string_view port;
};

HostAndPort split(std::string_view endpoint) {
  endpoint.remove_prefix(tcp.size());
  const std::size_t colon = endpoint.rfind(':');
  if (colon == std::string_view::npos) return {endpoint, {}};
  return {endpoint.substr(0, colon), endpoint.substr(colon + 1)};
}

}  // namespace

std::string reachable_live_endpoint(const std::string& all, const std::string& dialled) {
  // A broker that listens at several tells all of them; the first will do, as any would.
  std::string bound = all.substr(0, all.find(','));
  if (!bound.starts_with(tcp) || !dialled.starts_with(tcp)) return bound;
  const HostAndPort live = split(bound);
  const bool wildcard = live.host == "0.0.0.0" || live.host == "*" || live.host == "[::]";
  if (!wildcard) return bound;
  return std::string(tcp) + std::string(split(dialled).host) + ":" + std::string(live.port);
}

}  // namespace millrace::detail
