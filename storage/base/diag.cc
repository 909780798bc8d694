#include "storage/base/diag.h"

#include "storage/base/standard_error.h"

#include <spdlog/async.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

namespace millrace::diag {
namespace {

std::atomic<Level> threshold{Level::warn};
std::atomic<bool> json{false};

constexpr std::size_t queue_lines = 8192;

std::mutex writer_mutex;
std::shared_ptr<spdlog::details::thread_pool> pool;
std::shared_ptr<spdlog::logger> writer;

spdlog::level::level_enum to_spdlog(Level level) {
  switch (level) {
    case Level::debug: return spdlog::level::debug;
    case Level::info: return spdlog::level::info;
    case Level::warn: return spdlog::level::warn;
    case Level::error: return spdlog::level::err;
    case Level::off: return spdlog::level::off;
  }
  return spdlog::level::info;
}

// Lines must stay lines: control characters in names or texts would forge others.
std::string escaped(std::string_view text, bool for_json) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(static_cast<unsigned char>(c)));
    } else if (for_json && (c == '"' || c == '\\')) {
      out.push_back('\\');
      out.push_back(c);
    } else {
      out.push_back(c);
    }
  }
  return out;
}

std::size_t dropped_reported = 0;  // under writer_mutex

// What to say about lines that were dropped since this was last asked; empty if none, or if the
// queue is still so full that saying it would drop another.
std::string dropped_since(bool at_end) {
  if (!pool) return {};
  const std::size_t dropped = pool->overrun_counter();
  if (dropped == dropped_reported) return {};
  if (!at_end && pool->queue_size() > queue_lines / 2) return {};
  return fmt::format("{} lines were dropped because standard error was not read",
                     dropped - std::exchange(dropped_reported, dropped));
}

void put(spdlog::logger& target, Level level, std::string_view channel, std::string_view clean) {
  if (json.load(std::memory_order_relaxed)) {
    target.log(to_spdlog(level), R"("channel":"{}","message":"{}")", channel, clean);
  } else {
    target.log(to_spdlog(level), "{}: {}", channel, clean);
  }
}

std::shared_ptr<spdlog::logger> current_writer() {
  const std::lock_guard lock(writer_mutex);
  if (writer) {
    if (const std::string text = dropped_since(false); !text.empty()) {
      put(*writer, Level::warn, "diag", text);
    }
  }
  return writer;
}

}  // namespace

void configure(Level level, Style style) {
  const std::lock_guard lock(writer_mutex);
  threshold = level;
  json = style == Style::json;
  if (!writer) {
    dropped_reported = 0;
    pool = std::make_shared<spdlog::details::thread_pool>(queue_lines, 1);
    auto sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    writer = std::make_shared<spdlog::async_logger>("millrace", std::move(sink), pool,
                                                    spdlog::async_overflow_policy::overrun_oldest);
  }
  writer->set_level(spdlog::level::trace);
  writer->flush_on(spdlog::level::debug);
  writer->set_pattern(json ? R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l",%v})"
                           : "%Y-%m-%dT%H:%M:%S.%eZ %-7l %v",
                      spdlog::pattern_time_type::utc);
}

void shutdown() {
  const std::lock_guard lock(writer_mutex);
  if (!writer) return;
  const std::string dropped = dropped_since(true);
  // Said straight to the sink, behind the queue: a line more in a full queue would drop another,
  // and the number would be wrong.
  spdlog::logger last("millrace", writer->sinks().front());
  writer.reset();
  pool.reset();  // joins the writer thread after the queue is empty
  if (!dropped.empty()) put(last, Level::warn, "diag", dropped);
  last.flush();
}

bool enabled(Level level) { return level >= threshold.load(std::memory_order_relaxed); }

void write(Level level, std::string_view channel, std::string_view text) {
  const bool as_json = json.load(std::memory_order_relaxed);
  const std::string clean = escaped(text, as_json);
  if (auto target = current_writer()) return put(*target, level, channel, clean);
  write_standard_error(fmt::format("{}: {}\n", channel, clean));
}

bool parse_level(std::string_view text, Level& out) {
  if (text == "debug") return out = Level::debug, true;
  if (text == "info") return out = Level::info, true;
  if (text == "warn") return out = Level::warn, true;
  if (text == "error") return out = Level::error, true;
  if (text == "off") return out = Level::off, true;
  return false;
}

}  // namespace millrace::diag
