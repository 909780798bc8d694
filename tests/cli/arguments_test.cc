#include "client/cli/arguments.h"

#include <CLI/CLI.hpp>
#include <catch2/catch.hpp>

namespace millrace::cli {
namespace {

TEST_CASE("the help of every command ends with an example") {
  Arguments arguments;
  const auto has_example = [](CLI::App& command) {
    CAPTURE(command.get_name());
    const std::string footer = command.get_footer();
    const auto at = footer.rfind("Example");
    REQUIRE(at != std::string::npos);
    CHECK(footer.find("millrace ", at) != std::string::npos);
  };
  for (CLI::App* command : arguments.app().get_subcommands({})) {
    has_example(*command);
    for (CLI::App* leaf : command->get_subcommands({})) has_example(*leaf);
  }
  has_example(arguments.app());
}

TEST_CASE("the help of a format tells what the command prints without one") {
  Arguments arguments;
  const auto help = [&](CLI::App* command) { return command->get_option("-f")->get_description(); };
  CHECK(help(arguments.app().get_subcommand("consume")).ends_with("Default %v\\n"));
  CHECK(help(arguments.app().get_subcommand("log")->get_subcommand("dump"))
            .ends_with("Default %o\\t%T\\t%k\\t%v\\n"));
}

}  // namespace
}  // namespace millrace::cli
