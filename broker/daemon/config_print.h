// A configuration as text: TOML that loads again, or the settings table of docs/operations.md.
// Pure.
#pragma once

#include "broker/daemon/config.h"

#include <string>

namespace millrace {

// Every key with its meaning and bounds as comments.
std::string config_toml(const BrokerConfig& config);
// One table per section: key, default, limits, meaning.
std::string config_markdown();

}  // namespace millrace
