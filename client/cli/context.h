// What every command is given: where the broker is, how to print, and how to fail.
//
// Results go to standard output, everything else to standard error. An error is one line:
//   millrace: what failed (client|broker): name: limit, value, what to do
#pragma once

#include "millrace/client.h"
#include "millrace/error.h"

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

namespace millrace::cli {

// Exit codes of the program. `interrupted`: SIGINT or SIGTERM ended work that had an end of its
// own; where following was the job (consume without -e and -c, tail) an interrupt is the normal end
// and answers `done`.
namespace exit_code {
inline constexpr int done = 0;
inline constexpr int failed = 1;
inline constexpr int usage = 2;
inline constexpr int interrupted = 130;
}  // namespace exit_code

enum class OutputStyle { table, json };

struct Context {
  ClientOptions client;
  OutputStyle style = OutputStyle::table;
  bool quiet = false;

  bool json() const { return style == OutputStyle::json; }
  // Whether a progress line may be drawn: standard error is a terminal and -q was not given.
  bool shows_progress() const;
};

// One line to standard error, "millrace: " in front.
void say(std::string_view line);
// The same, unless -q was given.
void note(const Context& context, std::string_view line);

// Prints the error line and answers exit_code::failed.
int report(std::string_view what_failed, const ClientError& error);
// An error that arose in this program.
int report(std::string_view what_failed, std::string_view text);
// A mistake on the command line that only a command can see; answers exit_code::usage.
int report_usage(std::string_view text);

std::string error_line(std::string_view what_failed, const ClientError& error);

// Connects (the first request waits for the broker, not this). A broker that is not there for a
// second is noted, so that nobody waits for the timeout without knowing why. The other side is the
// exit code, after a report: `usage` for an endpoint that is none.
std::expected<Client, int> connect(const Context& context);

std::int64_t wall_now_ns();
// Seconds of the monotonic clock; only differences mean something.
double monotonic_seconds();

}  // namespace millrace::cli
