#include "context.h"

#include "storage/base/standard_error.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>

namespace millrace::cli {

bool Context::shows_progress() const { return !quiet && ::isatty(STDERR_FILENO) == 1; }

void say(std::string_view line) { write_standard_error(fmt::format("millrace: {}\n", line)); }

void note(const Context& context, std::string_view line) {
  if (!context.quiet) say(line);
}

std::string error_line(std::string_view what_failed, const ClientError& error) {
  const char* origin = error.origin == Origin::client ? "client" : "broker";
  std::string line = fmt::format("{} ({}): {}", what_failed, origin, error.name);
  if (!error.text.empty()) line += ": " + error.text;
  for (char& c : line) {
    if (c == '\n') c = ' ';
  }
  return line;
}

int report(std::string_view what_failed, const ClientError& error) {
  say(error_line(what_failed, error));
  return exit_code::failed;
}

int report(std::string_view what_failed, std::string_view text) {
  say(fmt::format("{} (client): {}", what_failed, text));
  return exit_code::failed;
}

int report_usage(std::string_view text) {
  say(fmt::format("usage (client): {}", text));
  return exit_code::usage;
}

namespace {

std::string duration_text(std::chrono::milliseconds duration) {
  const auto ms = duration.count();
  return ms % 1000 == 0 ? fmt::format("{}s", ms / 1000) : fmt::format("{}ms", ms);
}

}  // namespace

std::expected<Client, int> connect(const Context& context) {
  static constexpr std::uint16_t bad_config = 90;
  const std::string& endpoint = context.client.endpoint;
  if (endpoint.starts_with("inproc://"))
    return std::unexpected(report_usage(fmt::format(
        "--broker '{}' is inside of one process; write tcp://HOST:PORT or ipc://PATH", endpoint)));
  ClientOptions options = context.client;
  if (!context.quiet) {
    options.on_unreachable = [endpoint, timeout = options.timeout] {
      say(fmt::format("no broker answers at {}; waiting up to {} for it (--timeout)", endpoint,
                      duration_text(timeout)));
    };
  }
  auto client = Client::connect(std::move(options));
  if (client) return std::move(*client);
  if (client.error().code == bad_config)
    return std::unexpected(report_usage(fmt::format("--broker {}", client.error().text)));
  return std::unexpected(report(fmt::format("cannot use broker {}", endpoint), client.error()));
}

std::int64_t wall_now_ns() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
}

double monotonic_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace millrace::cli
