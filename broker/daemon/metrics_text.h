// The metrics in Prometheus' text format. Pure: counters in, text out. Names and meaning: docs/operations.md, "Metrics".
#pragma once

#include <string>

#include "broker/daemon/shard_status.h"

namespace millrace {

std::string metrics_text(const ShardMetrics& metrics, const ShardStatus& status);

}  // namespace millrace
