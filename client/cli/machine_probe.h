// What the kernel, the limits and the libraries of this machine say, one line a check.
#pragma once

#include <string>
#include <vector>

namespace millrace::cli {

// `fail` would stop a broker; `warn` makes it slower or less safe than it could be.
enum class Verdict { ok, warn, fail };

struct Check {
  std::string name;
  Verdict verdict = Verdict::ok;
  std::string found;
  std::string advice;  // what to do; empty when ok
};

std::vector<Check> probe_machine();

// The first line of a file of /proc or /sys without its newline; empty when it cannot be read.
std::string first_line(const std::string& path);

}  // namespace millrace::cli
