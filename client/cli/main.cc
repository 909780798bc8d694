// The command line for everybody: arguments.h has the commands.
#include "arguments.h"
#include "interrupt.h"
#include "summary.h"

#include <fmt/format.h>

#include <cstdio>
#include <exception>

int main(int argc, char** argv) {
  using namespace millrace::cli;
  occupy_standard_streams();
  install_signal_handlers();
  try {
    Arguments arguments;
    const int code = arguments.run(argc, argv);
    if (code == exit_code::done && output_failed())
      return report("cannot write results", output_failure());
    return code;
  } catch (const std::exception& error) {
    return report("unexpected failure", error.what());
  }
}
