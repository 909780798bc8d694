// The command line: every command and flag in one place, so that --help, completion and the parser
// agree.
#pragma once

#include "context.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace millrace::cli {

class Arguments {
 public:
  Arguments();
  ~Arguments();
  Arguments(const Arguments&) = delete;
  Arguments& operator=(const Arguments&) = delete;

  // Parses and runs; answers the exit code.
  int run(int argc, const char* const* argv);

  CLI::App& app() { return *app_; }

 private:
  using Command = std::function<int(const Context&)>;
  // A leaf of the tree: what runs when it was named.
  void runs(CLI::App& command, Command run);
  void add_globals();
  void add_topic();
  void add_produce();
  void add_consume();
  void add_tail();
  void add_replay();
  void add_log();
  void add_log_repair(CLI::App& log);
  void add_bench();
  void add_bench_produce(CLI::App& bench);
  void add_bench_latency(CLI::App& bench);
  void add_bench_consume(CLI::App& bench);
  void add_others();

  std::unique_ptr<CLI::App> app_;
  Command chosen_;
  Context context_;
};

}  // namespace millrace::cli
