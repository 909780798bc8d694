// millraced's arguments: which are flags for the configuration and which ask for something else.
#pragma once

#include "broker/daemon/config_load.h"

#include <optional>
#include <string>

namespace millrace {

struct CommandLine {
  enum class Action { serve, check_config, print_config_toml, print_config_markdown };
  Action action = Action::serve;
  bool ephemeral = false;
  ConfigSources sources;
};

// Either what to do or the exit code of what was done already (--help, --version, bad usage with
// its one line on standard error).
struct ParsedCommandLine {
  std::optional<CommandLine> command;
  int exit_code = 0;
};
ParsedCommandLine parse_command_line(int argc, char** argv);

}  // namespace millrace
