// What the operator may set: one struct per section, every field with its unit, default and meaning
// in config_keys.cc.
//
// Life: load_config fills it once from all sources, check_config looks at what must fit together,
// and from then on it is const and handed down.
#pragma once

#include "broker/options.h"
#include "storage/base/result.h"
#include "storage/base/units.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace millrace {

struct DataConfig {
  std::string dir = "./millrace-data";
  std::string io = "auto";
  std::uint64_t recycle_bytes = 1 * GiB;
};

struct ListenConfig {
  std::string requests = "tcp://127.0.0.1:7711";
  std::string live = "tcp://127.0.0.1:7712";
  std::string http = "127.0.0.1:7713";
  bool insecure = false;
  bool ipv6 = false;
  std::uint64_t io_threads = 1;
  std::uint64_t clients_max = 65'536;
  Duration stall_max = seconds(30);
  std::uint64_t frame_bytes_max = 64 * MiB + 64 * KiB;
};

struct LiveConfig {
  bool by_default = true;
  std::uint64_t queue_messages = 1000;
  std::uint64_t queue_bytes = 512 * MiB;
};

struct TopicConfig {
  std::uint64_t segment_bytes = LogOptions{}.segment_bytes;
  Duration segment_age = LogOptions{}.segment_age;
  Duration retention_age = LogOptions{}.retention_age;
  std::uint64_t retention_bytes = LogOptions{}.retention_bytes;
  std::uint64_t batch_bytes_max = LogOptions{}.batch_bytes_max;
  std::uint64_t index_interval_bytes = LogOptions{}.index_interval_bytes;
  std::uint64_t preallocate_bytes_min = LogOptions{}.preallocate_bytes_min;
  std::uint64_t preallocate_bytes_max = LogOptions{}.preallocate_bytes_max;
};

struct LimitsConfig {
  std::uint64_t topics_max = BrokerLimits{}.topics_max;
  std::uint64_t partitions_per_topic_max = BrokerLimits{}.partitions_per_topic_max;
  std::uint64_t fetch_bytes_max = BrokerLimits{}.fetch_bytes_max;
  Duration fetch_wait_max = milliseconds(BrokerLimits{}.fetch_wait_ms_max);
  std::uint64_t client_bytes_max = BrokerLimits{}.client_bytes_max;
  std::uint64_t subscriptions_per_client_max = BrokerLimits{}.subscriptions_per_client_max;
  std::uint64_t parked_fetches_per_client_max = BrokerLimits{}.parked_fetches_per_client_max;
  std::uint64_t reply_bytes_max = BrokerLimits{}.reply_bytes_max;
  std::uint64_t staged_bytes_max = BrokerLimits{}.staged_bytes_max;
  std::uint64_t staged_bytes_per_log_max = LogOptions{}.staged_bytes_max;
  Duration stop_deadline = seconds(10);
};

struct MemoryConfig {
  std::uint64_t cache_bytes = 256 * MiB;
  std::uint64_t cache_bytes_per_log = LogOptions{}.tail_cache_bytes;
  std::uint64_t idle_bytes = 64 * MiB;
  std::uint64_t resident_warn_bytes = 3 * GiB;
};

struct DiskConfig {
  std::uint64_t warn_percent = BrokerOptions{}.disk_warn_percent;
  std::uint64_t refuse_percent = BrokerOptions{}.disk_refuse_percent;
  Duration retention_interval = BrokerOptions{}.retention_interval;
  std::uint64_t scrub_bytes_per_second = BrokerOptions{}.scrub_bytes_per_second;
  Duration scrub_interval = BrokerOptions{}.scrub_interval;
  Duration checkpoint_idle = LogOptions{}.checkpoint_idle;
  std::uint64_t checkpoint_interval_bytes = LogOptions{}.checkpoint_interval_bytes;
};

struct LogConfig {
  std::string level = "info";
  std::string format = "text";
};

struct BrokerConfig {
  DataConfig data;
  ListenConfig listen;
  LiveConfig live;
  TopicConfig topic;
  LimitsConfig limits;
  MemoryConfig memory;
  DiskConfig disk;
  LogConfig log;
};

// Where each key that was set got its value: "millrace.toml:3", "environment MILLRACE_DATA__DIR",
// "--set", "--data-dir".
using ConfigOrigins = std::map<std::string, std::string, std::less<>>;

// What must fit together, and endpoints. The error names the keys, their origins, the limit and the
// value.
Result<void> check_config(const BrokerConfig& config, const ConfigOrigins& origins);

// The endpoints of a comma-separated list; none for "off" or nothing.
std::vector<std::string> endpoint_list(std::string_view text);
// Host and port of an HTTP address "host:port"; none if it is not one.
std::optional<std::pair<std::string, std::uint16_t>> parse_http_address(std::string_view text);

BrokerOptions broker_options(const BrokerConfig& config);

}  // namespace millrace
