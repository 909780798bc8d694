// Settings of the broker's core. The daemon reads them from its configuration
// (broker/daemon/config); tests set them directly. Checked once, then const.
#pragma once

#include "storage/log_options.h"

#include <cstdint>
#include <string>

namespace millrace {

struct BrokerLimits {
  std::uint32_t partitions_per_topic_max = 4096;
  std::uint32_t topics_max = 100'000;
  std::uint32_t fetch_bytes_max = 16 * MiB;
  std::uint32_t fetch_wait_ms_max = 60'000;
  // Bytes of replies with data that one client may have outstanding in the broker: queued, parked
  // or read from disk.
  std::uint32_t client_bytes_max = 32 * MiB;
  std::uint32_t subscriptions_per_client_max = 8192;
  std::uint32_t parked_fetches_per_client_max = 8192;
  // All such bytes of all clients; above it new reads wait their turn.
  std::uint64_t reply_bytes_max = 512 * MiB;
  // Appends of all logs that wait for the disk; above it produce answers overloaded.
  std::uint64_t staged_bytes_max = 256 * MiB;
};

struct BrokerOptions {
  LogOptions topic_defaults;  // a topic's own settings override these
  BrokerLimits limits;
  bool live_by_default = true;
  // Free space of the file system below which produce is refused with storage_full and below which
  // it is warned about, as used per cent of the whole.
  unsigned disk_warn_percent = 85;
  unsigned disk_refuse_percent = 95;
  Duration retention_interval = seconds(60);
  // How fast stored bytes are read again in the background (broker/scrubber.h), 0: never; and how
  // often a pass over all of them begins.
  std::uint64_t scrub_bytes_per_second = 8 * MiB;
  Duration scrub_interval = seconds(7 * 24 * 3600);
  std::string version = "0.1.0";
  std::string live_endpoint;  // as bound; told to clients that ask
};

}  // namespace millrace
