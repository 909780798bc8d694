// The completion script is written by hand; this holds it to what the parser knows.
#include "client/cli/arguments.h"
#include "client/cli/completion_text.h"

#include <CLI/CLI.hpp>
#include <catch2/catch.hpp>

namespace millrace::cli {
namespace {

// The words of the line of the script that stands for a command: `"topic create") flags="..." ;;`
// and what follows it.
std::string entry_of(const std::string& command) {
  const std::string script = completion_bash_text;
  const auto begin = script.find("\"" + command + "\"");
  REQUIRE(begin != std::string::npos);
  return script.substr(begin, script.find(";;", begin) - begin);
}

void check_flags(CLI::App& command, const std::string& name) {
  for (const CLI::Option* option : command.get_options()) {
    if (option->get_positional() || option->get_name() == "--help") continue;
    for (const std::string& flag : option->get_lnames()) {
      CAPTURE(name, flag);
      if (flag != "help") CHECK(entry_of(name).find("--" + flag) != std::string::npos);
    }
  }
}

TEST_CASE("every command and every flag of it is completed") {
  Arguments arguments;
  std::size_t leaves = 0;
  for (CLI::App* command : arguments.app().get_subcommands({})) {
    CHECK(entry_of(" ").find("$commands") != std::string::npos);
    CHECK(std::string(completion_bash_text).find(" " + command->get_name()) != std::string::npos);
    const auto below = command->get_subcommands({});
    for (CLI::App* leaf : below) {
      CHECK(entry_of(command->get_name() + " ").find(leaf->get_name()) != std::string::npos);
      check_flags(*leaf, command->get_name() + " " + leaf->get_name());
      ++leaves;
    }
    if (below.empty() && command->get_name() != "ping")
      check_flags(*command, command->get_name() + " ");
    leaves += below.empty() ? 1 : 0;
  }
  CHECK(leaves == 19);
}

}  // namespace
}  // namespace millrace::cli
