// The metrics in Prometheus' text format. Pure: counters in, text out. Names and meaning:
// docs/operations.md, "Metrics".
#pragma once

#include "broker/daemon/shard_status.h"

#include <string>

namespace millrace {

std::string metrics_text(const ShardMetrics& metrics, const ShardStatus& status);

}  // namespace millrace
