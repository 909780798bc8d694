#include "tests/enumerate/report.h"

#include <cstdio>
#include <fstream>
#include <stdexcept>

namespace millrace::test {

std::string source_commit() {
  const std::string command =
      "git -C '" MILLRACE_SOURCE_DIR "' describe --always --dirty --abbrev=12 2>/dev/null";
  std::FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return "unknown";
  std::string text;
  char buffer[128];
  while (std::fgets(buffer, sizeof buffer, pipe) != nullptr) text += buffer;
  const bool worked = ::pclose(pipe) == 0;
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return worked && !text.empty() ? text : "unknown";
}

void append_to_ledger(const std::string& path, const nlohmann::ordered_json& line) {
  std::ofstream file(path, std::ios::app);
  file << line.dump() << "\n";
  file.flush();
  if (!file) throw std::runtime_error("the ledger " + path + " cannot be written");
}

}  // namespace millrace::test
