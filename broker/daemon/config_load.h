// Fills a BrokerConfig from all its sources. Later ones win: defaults, file, environment, --set,
// flags.
//
// Every error is one line that names the place (file:line, variable or flag), the key, the value
// and the limit; a key that does not exist stops the load and names the nearest one that does.
#pragma once

#include "broker/daemon/config.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace millrace {

struct ConfigSources {
  // Path of a TOML file; empty: none.
  std::string file;
  // "NAME=value" of the whole environment; only MILLRACE_SECTION__KEY is looked at.
  std::vector<std::string> environment;
  // "section.key=value".
  std::vector<std::string> sets;
  // A flag, the key it stands for, and its value: {"--data-dir", "data.dir", "/srv/millrace"}.
  struct Flag {
    std::string flag, key, value;
  };
  std::vector<Flag> flags;
};

struct LoadedConfig {
  BrokerConfig config;
  ConfigOrigins origins;
};

// Errors: bad_config. The result has passed check_config.
Result<LoadedConfig> load_config(const ConfigSources& sources);

// The environment of this process.
std::vector<std::string> process_environment();

}  // namespace millrace
