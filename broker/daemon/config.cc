#include "broker/daemon/config.h"

#include "broker/meta/setting_text.h"

#include <fmt/core.h>

namespace millrace {
namespace {

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

// "file:3: " or nothing for a default.
std::string origin_of(const ConfigOrigins& origins, std::string_view key) {
  const auto found = origins.find(key);
  return found == origins.end() ? std::string{} : found->second + ": ";
}

bool is_loopback(std::string_view host) {
  return host.starts_with("127.") || host == "localhost" || host == "[::1]" || host == "::1" ||
         host == "lo";
}

struct HostPort {
  std::string_view host, port;
};

std::optional<HostPort> split_host_port(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return std::nullopt;
  return HostPort{text.substr(0, colon), text.substr(colon + 1)};
}

bool is_port(std::string_view text) {
  if (text == "*") return true;
  const auto port = parse_count(text);
  return port && *port <= 65'535;
}

Result<void> check_exposed(std::string_view host, std::string_view endpoint, bool insecure) {
  if (insecure || is_loopback(host)) return {};
  return fail(Errc::bad_config, fmt::format("{} is not a loopback address, and connections are not "
                                            "yet encrypted or authenticated: whoever "
                                            "reaches the port may read and write everything. "
                                            "Listen on 127.0.0.1, or accept that with "
                                            "--insecure (listen.insecure = true)",
                                            endpoint));
}

std::unexpected<Error> bad_port(std::string_view endpoint) {
  return fail(Errc::bad_config,
              fmt::format("the port of \"{}\" is not 0 to 65535; 0 picks a free one", endpoint));
}

bool is_ipv6(std::string_view host) { return host.starts_with('['); }

Result<void> check_endpoint(std::string_view endpoint, const ListenConfig& listen) {
  if (endpoint.starts_with("ipc://") && endpoint.size() > 6) return {};
  if (endpoint.starts_with("inproc://") && endpoint.size() > 9) return {};
  if (endpoint.starts_with("tcp://")) {
    const auto parts = split_host_port(endpoint.substr(6));
    if (parts && !is_port(parts->port)) return bad_port(endpoint);
    if (parts) {
      if (is_ipv6(parts->host) && !listen.ipv6)
        return fail(
            Errc::bad_config,
            fmt::format("{} is an IPv6 address; allow those with listen.ipv6 = true", endpoint));
      return check_exposed(parts->host, endpoint, listen.insecure);
    }
  }
  return fail(
      Errc::bad_config,
      fmt::format("\"{}\" is not an endpoint; write tcp://HOST:PORT, ipc://PATH or inproc://NAME",
                  endpoint));
}

Result<void> check_listen(const ListenConfig& listen, const ConfigOrigins& origins) {
  const auto named = [&](std::string_view key, const Error& error) {
    return fail(error.code, fmt::format("{}{}: {}", origin_of(origins, key), key, error.text));
  };
  const auto requests = endpoint_list(listen.requests);
  if (requests.empty())
    return named("listen.requests", {Errc::bad_config, "at least one endpoint is needed"});
  for (const std::string& endpoint : requests) {
    if (auto ok = check_endpoint(endpoint, listen); !ok)
      return named("listen.requests", ok.error());
  }
  for (const std::string& endpoint : endpoint_list(listen.live)) {
    if (auto ok = check_endpoint(endpoint, listen); !ok) return named("listen.live", ok.error());
  }
  if (endpoint_list(listen.http).empty()) return {};
  const auto http = parse_http_address(listen.http);
  const auto http_parts = split_host_port(trimmed(listen.http));
  if (!http && http_parts && !is_port(http_parts->port))
    return named("listen.http", bad_port(listen.http).error());
  if (!http)
    return named("listen.http", {Errc::bad_config,
                                 fmt::format("\"{}\" is not an address; write HOST:PORT or \"off\"",
                                             listen.http)});
  if (auto ok = check_exposed(http->first, listen.http, listen.insecure); !ok)
    return named("listen.http", ok.error());
  return {};
}

struct Bound {
  std::string_view key;
  std::uint64_t value;
};

// `low` must not be above `high`.
Result<void> check_order(Bound low, Bound high, bool are_bytes, const ConfigOrigins& origins) {
  if (low.value <= high.value) return {};
  const auto text = [&](std::uint64_t value) {
    return are_bytes ? size_text(value) : fmt::format("{}", value);
  };
  const std::string from =
      origins.contains(low.key) ? origin_of(origins, low.key) : origin_of(origins, high.key);
  return fail(Errc::bad_config, fmt::format("{}{} = {} must not be above {} = {}", from, low.key,
                                            text(low.value), high.key, text(high.value)));
}

}  // namespace

Result<void> check_config(const BrokerConfig& config, const ConfigOrigins& origins) {
  if (config.data.dir.empty()) {
    return fail(Errc::bad_config, fmt::format("{}data.dir is empty; name a directory",
                                              origin_of(origins, "data.dir")));
  }
  if (auto ok = check_listen(config.listen, origins); !ok) return ok;
  const Bound batch{"topic.batch_bytes_max", config.topic.batch_bytes_max};
  const struct {
    Bound low, high;
    bool are_bytes;
  } orders[] = {
      {{"disk.warn_percent", config.disk.warn_percent},
       {"disk.refuse_percent", config.disk.refuse_percent},
       false},
      {batch, {"topic.segment_bytes", config.topic.segment_bytes}, true},
      {batch, {"listen.frame_bytes_max", config.listen.frame_bytes_max}, true},
      {batch, {"limits.client_bytes_max", config.limits.client_bytes_max}, true},
      {batch, {"limits.staged_bytes_per_log_max", config.limits.staged_bytes_per_log_max}, true},
      {{"limits.staged_bytes_per_log_max", config.limits.staged_bytes_per_log_max},
       {"limits.staged_bytes_max", config.limits.staged_bytes_max},
       true},
      {{"limits.client_bytes_max", config.limits.client_bytes_max},
       {"limits.reply_bytes_max", config.limits.reply_bytes_max},
       true},
      {{"topic.preallocate_bytes_min", config.topic.preallocate_bytes_min},
       {"topic.preallocate_bytes_max", config.topic.preallocate_bytes_max},
       true},
  };
  for (const auto& order : orders) {
    if (auto ok = check_order(order.low, order.high, order.are_bytes, origins); !ok) return ok;
  }
  return {};
}

std::vector<std::string> endpoint_list(std::string_view text) {
  std::vector<std::string> out;
  if (trimmed(text) == "off") return out;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    if (const std::string_view one = trimmed(text.substr(0, comma)); !one.empty())
      out.emplace_back(one);
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return out;
}

std::optional<std::pair<std::string, std::uint16_t>> parse_http_address(std::string_view text) {
  text = trimmed(text);
  if (text.starts_with("http://")) text.remove_prefix(7);
  const auto parts = split_host_port(text);
  if (!parts) return std::nullopt;
  const auto port = parse_count(parts->port);
  if (!port || *port > 65'535 || parts->host.find('/') != std::string_view::npos)
    return std::nullopt;
  std::string_view host = parts->host;
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return std::pair{std::string(host), static_cast<std::uint16_t>(*port)};
}

BrokerOptions broker_options(const BrokerConfig& config) {
  BrokerOptions out;
  LogOptions& topic = out.topic_defaults;
  topic.segment_bytes = config.topic.segment_bytes;
  topic.segment_age = config.topic.segment_age;
  topic.retention_age = config.topic.retention_age;
  topic.retention_bytes = config.topic.retention_bytes;
  topic.batch_bytes_max = static_cast<std::uint32_t>(config.topic.batch_bytes_max);
  topic.index_interval_bytes = static_cast<std::uint32_t>(config.topic.index_interval_bytes);
  topic.preallocate_bytes_min = config.topic.preallocate_bytes_min;
  topic.preallocate_bytes_max = config.topic.preallocate_bytes_max;
  topic.staged_bytes_max = config.limits.staged_bytes_per_log_max;
  topic.tail_cache_bytes = config.memory.cache_bytes_per_log;
  topic.checkpoint_interval_bytes = config.disk.checkpoint_interval_bytes;
  topic.checkpoint_idle = config.disk.checkpoint_idle;
  BrokerLimits& limits = out.limits;
  limits.topics_max = static_cast<std::uint32_t>(config.limits.topics_max);
  limits.partitions_per_topic_max =
      static_cast<std::uint32_t>(config.limits.partitions_per_topic_max);
  limits.fetch_bytes_max = static_cast<std::uint32_t>(config.limits.fetch_bytes_max);
  limits.fetch_wait_ms_max =
      static_cast<std::uint32_t>(config.limits.fetch_wait_max.ns / 1'000'000);
  limits.client_bytes_max = static_cast<std::uint32_t>(config.limits.client_bytes_max);
  limits.subscriptions_per_client_max =
      static_cast<std::uint32_t>(config.limits.subscriptions_per_client_max);
  limits.parked_fetches_per_client_max =
      static_cast<std::uint32_t>(config.limits.parked_fetches_per_client_max);
  limits.reply_bytes_max = config.limits.reply_bytes_max;
  limits.staged_bytes_max = config.limits.staged_bytes_max;
  out.live_by_default = config.live.by_default;
  out.disk_warn_percent = static_cast<unsigned>(config.disk.warn_percent);
  out.disk_refuse_percent = static_cast<unsigned>(config.disk.refuse_percent);
  out.retention_interval = config.disk.retention_interval;
  out.scrub_bytes_per_second = config.disk.scrub_bytes_per_second;
  out.scrub_interval = config.disk.scrub_interval;
  return out;
}

}  // namespace millrace
