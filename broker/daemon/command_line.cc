#include "broker/daemon/command_line.h"

#include "broker/options.h"
#include "storage/base/standard_error.h"

#include <CLI/CLI.hpp>
#include <fmt/core.h>

#include <cstdio>

namespace millrace {
namespace {

constexpr int exit_bad_usage = 2;

constexpr const char* footer =
    R"(Settings come from the defaults, the file, MILLRACE_SECTION__KEY variables, --set and flags; later ones win.
When it accepts requests, one line of JSON on standard output says where. SIGTERM and SIGINT stop it cleanly.
Exit codes: 0 stopped cleanly, 1 failed to start or while running, 2 bad usage or configuration,
3 data directory in use or refused.

Examples:
  millraced --data-dir /var/lib/millrace
  millraced --ephemeral
  millraced --config /etc/millrace.toml --check-config
  millraced --set topic.retention_age="30 days" --print-config)";

}  // namespace

ParsedCommandLine parse_command_line(int argc, char** argv) {
  CommandLine command;
  CLI::App app{"millraced, the Millrace broker", "millraced"};
  app.footer(footer);
  app.set_version_flag("--version", "millraced " + BrokerOptions{}.version,
                       "Print the version and stop");

  std::string data_dir, listen, live, http, log_level, log_format, print_config;
  bool insecure = false, check = false;
  app.add_option("--config", command.sources.file, "TOML file with settings")->type_name("FILE");
  auto* data_dir_option =
      app.add_option("--data-dir", data_dir,
                     "Directory of everything the broker keeps. Default ./millrace-data")
          ->type_name("DIR");
  // Given twice they are both meant, as if they stood behind one flag.
  const auto add_endpoints = [&app](const char* flag, std::string& into, const char* help) {
    return app.add_option(flag, into, help)
        ->type_name("ENDPOINT")
        ->multi_option_policy(CLI::MultiOptionPolicy::Join)
        ->delimiter(',');
  };
  auto* listen_option = add_endpoints("--listen", listen,
                                      "Endpoints for requests, separated by commas; port 0: a free "
                                      "one. Default tcp://127.0.0.1:7711");
  auto* live_option = add_endpoints("--live", live,
                                    "Endpoints of the live feed, separated by commas, or off. "
                                    "Default tcp://127.0.0.1:7712");
  auto* http_option = app.add_option("--http", http,
                                     "HOST:PORT of /health and /metrics, or off. Default "
                                     "127.0.0.1:7713")
                          ->type_name("ENDPOINT");
  auto* ephemeral_option =
      app.add_flag("--ephemeral", command.ephemeral,
                   "Keep data in a temporary directory, removed at exit; ports 0 unless given");
  ephemeral_option->excludes(data_dir_option);
  app.add_flag("--insecure", insecure,
               "Allow addresses other than loopback, for anybody who reaches them");
  app.add_option("--set", command.sources.sets, "Set one key; may be repeated")
      ->type_name("section.key=value")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  auto* level_option =
      app.add_option("--log-level", log_level, "debug, info, warn, error or off. Default info")
          ->type_name("LEVEL");
  auto* format_option =
      app.add_option("--log-format", log_format, "text or json. Default text")->type_name("FORMAT");
  app.add_flag("--check-config", check, "Check the settings and exit");
  auto* print_option = app.add_option("--print-config", print_config,
                                      "Print all settings and exit: as toml (the default), or with "
                                      "--print-config=markdown as the table of keys")
                           ->option_text("[FORMAT]")
                           ->expected(0, 1)
                           ->check(CLI::IsMember({"toml", "markdown"}));

  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {  // --help, --version
    return {std::nullopt, app.exit(success)};
  } catch (const CLI::ParseError& error) {
    write_standard_error(
        fmt::format("millraced: {} (millraced --help lists the flags)\n", error.what()));
    return {std::nullopt, exit_bad_usage};
  }

  auto& flags = command.sources.flags;
  const auto add = [&](const CLI::Option* option, const char* flag, const char* key,
                       const std::string& value) {
    if (option->count() > 0) flags.push_back({flag, key, value});
  };
  add(data_dir_option, "--data-dir", "data.dir", data_dir);
  add(listen_option, "--listen", "listen.requests", listen);
  add(live_option, "--live", "listen.live", live);
  add(http_option, "--http", "listen.http", http);
  add(level_option, "--log-level", "log.level", log_level);
  add(format_option, "--log-format", "log.format", log_format);
  if (insecure) flags.push_back({"--insecure", "listen.insecure", "true"});

  if (check) command.action = CommandLine::Action::check_config;
  if (print_option->count() > 0)
    command.action = print_config == "markdown" ? CommandLine::Action::print_config_markdown
                                                : CommandLine::Action::print_config_toml;
  return {std::move(command), 0};
}

}  // namespace millrace
