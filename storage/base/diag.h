// Diagnostics ("log" means a partition's files in this project, never this): one line of text or
// JSON to standard error. Only diag.cc includes spdlog; callers pay for fmt alone.
//
// Thread: any. Never blocks the data path: lines go through a bounded queue to a writer thread and
// the oldest are dropped when standard error does not drain (the next line that gets through says
// how many).
#pragma once

#include <fmt/core.h>

#include <cstdint>
#include <string_view>

namespace millrace::diag {

enum class Level { debug, info, warn, error, off };
enum class Style { text, json };

// Starts the writer. Before this call (and in libraries nobody configured) only warn and error
// appear.
void configure(Level level, Style style);
// Writes what is queued and stops the writer; call before exit.
void shutdown();

bool enabled(Level level);
void write(Level level, std::string_view channel, std::string_view text);

// Parses "debug", "info", "warn", "error", "off"; answers false for anything else.
bool parse_level(std::string_view text, Level& out);

template <class... Args>
void log(Level level, std::string_view channel, fmt::format_string<Args...> format,
         Args&&... args) {
  if (enabled(level)) write(level, channel, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void debug(std::string_view channel, fmt::format_string<Args...> format, Args&&... args) {
  log(Level::debug, channel, format, std::forward<Args>(args)...);
}
template <class... Args>
void info(std::string_view channel, fmt::format_string<Args...> format, Args&&... args) {
  log(Level::info, channel, format, std::forward<Args>(args)...);
}
template <class... Args>
void warn(std::string_view channel, fmt::format_string<Args...> format, Args&&... args) {
  log(Level::warn, channel, format, std::forward<Args>(args)...);
}
template <class... Args>
void error(std::string_view channel, fmt::format_string<Args...> format, Args&&... args) {
  log(Level::error, channel, format, std::forward<Args>(args)...);
}

}  // namespace millrace::diag
