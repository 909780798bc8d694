// millrace-history: reads the journals of a torture run and says whether the promises were kept.
#include "tests/history/jepsen.h"

#include <exception>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string_view>

namespace {

constexpr const char* usage =
    "usage: millrace-history [--json] [--jepsen FILE] JOURNAL...\n"
    "\n"
    "Checks the promises G1 to G7 on what producers and readers journaled "
    "(tests/history/README.md).\n"
    "  --json         the verdict as one line of JSON\n"
    "  --jepsen FILE  also writes the history in Jepsen's operation format (jepsen.tests.kafka)\n"
    "Exit code: 0 all kept, 1 a promise was broken, 2 the journals cannot be judged.\n";

int run(int count, char** arguments) {
  history::JournalReader reader;
  bool json = false;
  std::string jepsen;
  int journals = 0;
  for (int i = 1; i < count; ++i) {
    const std::string_view argument = arguments[i];
    if (argument == "--help" || argument == "-h") {
      std::cout << usage;
      return 0;
    }
    if (argument == "--json") {
      json = true;
    } else if (argument == "--jepsen") {
      if (++i == count) throw std::runtime_error("--jepsen needs a file");
      jepsen = arguments[i];
    } else if (argument.starts_with("-")) {
      throw std::runtime_error("unknown flag " + std::string(argument));
    } else {
      reader.add_file(std::string(argument));
      ++journals;
    }
  }
  if (journals == 0) throw std::runtime_error("no journal given; --help says more");
  const history::History history = reader.take();
  history::Checker checker(history);
  const history::Verdict verdict = checker.check();
  if (!jepsen.empty()) {
    std::ofstream out(jepsen, std::ios::trunc);
    history::write_jepsen(history, checker, out);
    if (!out.flush()) throw std::runtime_error(jepsen + ": cannot be written");
  }
  std::cout << (json ? verdict.to_json() : verdict.to_text());
  return verdict.valid() ? 0 : 1;
}

}  // namespace

int main(int count, char** arguments) {
  try {
    return run(count, arguments);
  } catch (const std::exception& error) {
    std::cerr << "millrace-history: " << error.what() << "\n";
    return 2;
  }
}
