// millrace-sim: the simulator as a program.
//
//   millrace-sim --seed N                 one run
//   millrace-sim --seeds A:B              runs A to B minus one
//   --opts CLASS,...                      these fault classes instead of those that the seed draws
//   --steps N                             so many steps instead of what the seed draws
//   --json                                the summary as one line of JSON
//   --story                               the newest steps and operations of a run that failed
//   --log                                 what the broker says for people, on standard error
//
// A run that fails prints one line that repeats it, also when the process aborts. Exit: 0 all kept
// every promise, 1 some did not, 2 bad usage.
#include "storage/base/diag.h"
#include "tests/sim/simulation.h"

#include <fmt/core.h>

#include <charconv>
#include <csignal>
#include <cstdio>

using namespace millrace;
using namespace millrace::sim;

namespace {

struct Arguments {
  std::uint64_t first = 1, end = 2;
  std::optional<FaultSet> faults;
  std::optional<std::uint64_t> steps;
  bool json = false, story = false, log = false;
};

// What a signal handler may print.
char replay_line[1024];

void on_abort(int signal) {
  std::fputs(replay_line, stdout);
  std::fflush(stdout);
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

bool parse_number(std::string_view text, std::uint64_t& out) {
  const auto result = std::from_chars(text.data(), text.data() + text.size(), out);
  return result.ec == std::errc{} && result.ptr == text.data() + text.size();
}

bool parse_range(std::string_view text, Arguments& out) {
  const auto colon = text.find(':');
  if (colon == std::string_view::npos) return false;
  return parse_number(text.substr(0, colon), out.first) &&
         parse_number(text.substr(colon + 1), out.end) && out.first < out.end;
}

int usage(std::string_view what) {
  fmt::print(stderr,
             "millrace-sim: {}\nusage: millrace-sim --seed N | --seeds A:B [--opts CLASS,...] "
             "[--steps N] [--json] [--story] [--log]\nclasses:",
             what);
  for (std::size_t i = 0; i < fault_classes; ++i)
    fmt::print(stderr, " {}", fault_class_name(static_cast<FaultClass>(i)));
  fmt::print(stderr, ", or none, or all\n");
  return 2;
}

std::string parse(int argc, char** argv, Arguments& out) {
  bool has_seed = false;
  for (int i = 1; i < argc; ++i) {
    const std::string_view flag = argv[i];
    if (flag == "--json" || flag == "--story" || flag == "--log") {
      (flag == "--json" ? out.json : flag == "--story" ? out.story : out.log) = true;
      continue;
    }
    if (i + 1 == argc) return fmt::format("{} needs a value, or is no flag", flag);
    const std::string_view value = argv[++i];
    if (flag == "--seed") {
      has_seed = parse_number(value, out.first);
      if (!has_seed || out.first == UINT64_MAX) return fmt::format("--seed {} is no seed", value);
      out.end = out.first + 1;
    } else if (flag == "--seeds") {
      has_seed = parse_range(value, out);
      if (!has_seed) return fmt::format("--seeds {} is not A:B with A below B", value);
    } else if (flag == "--opts") {
      out.faults = parse_fault_set(value);
      if (!out.faults) return fmt::format("--opts {} names no class of faults", value);
    } else if (flag == "--steps") {
      std::uint64_t steps = 0;
      if (!parse_number(value, steps)) return fmt::format("--steps {} is no number", value);
      out.steps = steps;
    } else {
      return fmt::format("{} is no flag", flag);
    }
  }
  return has_seed ? "" : "which seed?";
}

std::string replay_of(const SimOptions& options, const Arguments& arguments) {
  auto line =
      fmt::format("millrace-sim --seed {} --opts {}", options.seed, fault_set_text(options.faults));
  if (arguments.steps) line += fmt::format(" --steps {}", *arguments.steps);
  return line;
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  if (const auto fault = parse(argc, argv, arguments); !fault.empty()) return usage(fault);
  diag::configure(arguments.log ? diag::Level::debug : diag::Level::off, diag::Style::text);
  for (const int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE}) std::signal(signal, on_abort);

  Counts counts;
  std::uint64_t failures = 0, digest = 0;
  for (std::uint64_t seed = arguments.first; seed < arguments.end; ++seed) {
    const SimOptions options = draw_options(seed, arguments.faults, arguments.steps);
    const auto replay = replay_of(options, arguments);
    std::snprintf(replay_line, sizeof replay_line, "FAILED %s  # aborted\n", replay.c_str());
    Simulation simulation(options);
    simulation.run();
    counts.add(simulation.counts());
    counts.work("seeds");
    digest = digest * 31 + simulation.digest();
    if (const auto& finding = simulation.finding()) {
      ++failures;
      fmt::print("FAILED {}  # {}: {}\n", replay, finding->promise, finding->text);
      if (arguments.story) fmt::print("{}", simulation.story());
      std::fflush(stdout);
    }
  }
  counts.work("failed seeds", failures);
  diag::shutdown();
  if (arguments.json) {
    fmt::print("{{\"first\":{},\"end\":{},\"opts\":\"{}\",\"digest\":\"{:016x}\",{}}}\n",
               arguments.first, arguments.end,
               arguments.faults ? fault_set_text(*arguments.faults) : "drawn", digest,
               counts.json_members());
  } else {
    fmt::print("{} seeds, {} failed; {} crashes, {} faults, {} requests, {} acks; digest {:016x}\n",
               arguments.end - arguments.first, failures, counts.work_of("crashes"),
               counts.faults_total(), counts.work_of("requests"), counts.work_of("acks"), digest);
  }
  return failures == 0 ? 0 : 1;
}
