#include "summary.h"

#include "output_buffer.h"

#include <nlohmann/json.hpp>
#include <unistd.h>

#include <cstring>

namespace millrace::cli {

namespace {
int first_errno = 0;
}

void print_text(std::string_view text) {
  OutputBuffer output(STDOUT_FILENO);
  output.append(text);
  output.flush();
  if (first_errno == 0) first_errno = output.error();
}

bool output_failed() { return first_errno != 0; }
std::string output_failure() {
  return std::string("standard output: ") + std::strerror(first_errno);
}

void print_json(const nlohmann::ordered_json& value) {
  // Names of topics and files are user input: bytes that are no UTF-8 are replaced instead of
  // thrown about.
  print_text(value.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
}

}  // namespace millrace::cli
