// millraced: argv, signals, exit codes. The broker itself is shard_thread.
#include "broker/daemon/command_line.h"
#include "broker/daemon/config_print.h"
#include "broker/daemon/ephemeral_directory.h"
#include "broker/daemon/http_server.h"
#include "broker/daemon/process_watch.h"
#include "broker/daemon/shard_thread.h"
#include "storage/base/check.h"
#include "storage/base/diag.h"
#include "storage/base/standard_error.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>
#include <zmq.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <optional>

namespace millrace {
namespace {

// How long a broker that could not start, or was told twice to stop, may take to let go of what it
// holds.
constexpr std::chrono::milliseconds last_patience{500};
// How long whoever reads standard error may take for the last lines.
constexpr std::chrono::milliseconds report_patience{2000};

constexpr int exit_ok = 0, exit_failed = 1, exit_bad_config = 2, exit_data_dir = 3;

volatile std::sig_atomic_t hard_exit_code = exit_failed;

// From here on the process ends within `time`, whatever hangs: a thread, a device, or standard
// error that nobody reads. A later call replaces the time and the code.
void end_within(std::chrono::milliseconds time, int code) {
  hard_exit_code = code;
  std::signal(SIGALRM, [](int) { _exit(hard_exit_code); });
  const itimerval timer{{}, {time.count() / 1000, time.count() % 1000 * 1000}};
  setitimer(ITIMER_REAL, &timer, nullptr);
}

int exit_code_of(Errc code) {
  switch (code) {
    case Errc::bad_config:
    case Errc::bad_usage: return exit_bad_config;
    case Errc::data_dir_in_use:
    case Errc::data_dir_refused: return exit_data_dir;
    default: return exit_failed;
  }
}

// One line, whatever diagnostics are set to: this is why the program ends.
int report(const Error& error) {
  const int code = exit_code_of(error.code);
  end_within(report_patience, code);
  diag::shutdown();
  write_standard_error(fmt::format("millraced: {}\n", error.text));
  return code;
}

// SIGTERM and SIGINT as a descriptor. Blocked before any thread starts, so that all threads inherit
// it.
class StopSignals {
 public:
  StopSignals() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    CHECK(pthread_sigmask(SIG_BLOCK, &set, nullptr) == 0, "signals can be blocked");
    descriptor_ = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    CHECK(descriptor_ >= 0, "signals can be read");
  }
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;
  ~StopSignals() { close(descriptor_); }

  // Whether one came within `patience`.
  bool wait(std::chrono::milliseconds patience) {
    pollfd entry{descriptor_, POLLIN, 0};
    if (poll(&entry, 1, static_cast<int>(patience.count())) <= 0) return false;
    signalfd_siginfo info;
    return read(descriptor_, &info, sizeof info) == sizeof info;
  }

 private:
  int descriptor_ = -1;
};

// A standard stream that whoever started us had closed: its number would go to the next file that
// is opened, and what is meant for standard error would be written into a segment.
void occupy_standard_streams() {
  for (int stream = STDIN_FILENO; stream <= STDERR_FILENO; ++stream) {
    if (fcntl(stream, F_GETFD) == -1 && errno == EBADF)
      CHECK(open("/dev/null", O_RDWR) == stream, "the lowest number that is free is taken");
  }
}

// A full pipe or a file at its size limit is an error to be handled, not the end of the process
// (ST-13).
void prepare_process() {
  occupy_standard_streams();
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  umask(077);
  // Each client and each segment takes a descriptor.
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
}

void configure_diagnostics(const LogConfig& log) {
  diag::Level level = diag::Level::info;
  CHECK(diag::parse_level(log.level, level), "the level is one of the choices");
  diag::configure(level, log.format == "json" ? diag::Style::json : diag::Style::text);
}

nlohmann::json text_or_null(const std::string& text) {
  return text.empty() ? nlohmann::json(nullptr) : nlohmann::json(text);
}

void print_ready_line(const BoundEndpoints& endpoints, const HttpServer* http,
                      const std::string& data_dir) {
  std::error_code ignored;
  const std::filesystem::path absolute =
      std::filesystem::absolute(data_dir, ignored).lexically_normal();
  const nlohmann::ordered_json line = {
      {"ready", true},
      {"listen", endpoints.requests},
      {"live", text_or_null(endpoints.live)},
      {"http", http == nullptr ? nlohmann::json(nullptr) : nlohmann::json(http->address())},
      {"data_dir", absolute.string()},
      {"pid", getpid()},
  };
  // Names of files may be any bytes; JSON may not.
  const std::string text =
      line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
  if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0)
    return;
  diag::warn("daemon", "cannot write the ready line to standard output: {}; it is {}",
             std::strerror(errno), text.substr(0, text.size() - 1));
}

// With the default address a second broker on this machine does without; an address that was asked
// for must work.
Result<std::unique_ptr<HttpServer>> start_http(const LoadedConfig& loaded, StatusSource& source) {
  if (endpoint_list(loaded.config.listen.http).empty()) return nullptr;
  auto server = HttpServer::start(loaded.config.listen.http, source);
  if (server || loaded.origins.contains("listen.http")) return server;
  diag::warn("daemon", "no /health and /metrics: {}", server.error().text);
  return nullptr;
}

// `shard` was asked to stop; a second signal or the deadline ends the wait. The data is consistent
// either way.
int finish(ShardThread& shard, StopSignals& signals, Duration deadline) {
  constexpr std::chrono::milliseconds step{20};
  const auto last = std::chrono::steady_clock::now() + std::chrono::nanoseconds(deadline.ns);
  for (;;) {
    const bool again = signals.wait(std::chrono::milliseconds{0});
    if (!again && shard.wait_stopped(step)) break;
    if (!again && std::chrono::steady_clock::now() < last) continue;
    end_within(report_patience, exit_failed);
    write_standard_error(
        again ? "millraced: stopped at once by a second signal\n"
              : "millraced: not stopped within limits.stop_deadline; what was acknowledged is on "
                "disk\n");
    return exit_failed;
  }
  const auto outcome = shard.outcome();
  return outcome ? exit_ok : report(outcome.error());
}

// Waits for the end of recovery. An exit code: it failed, or a signal came meanwhile.
std::optional<int> wait_ready(ShardThread& shard, StopSignals& signals, Duration deadline) {
  constexpr std::chrono::milliseconds step{20};
  while (!shard.wait_ready(step)) {
    if (!signals.wait(std::chrono::milliseconds{0})) continue;
    shard.request_stop();
    return finish(shard, signals, deadline);
  }
  if (const auto outcome = shard.outcome(); !outcome) return report(outcome.error());
  return std::nullopt;
}

int serve(const LoadedConfig& loaded, StopSignals& signals, ShardThread& shard) {
  const BrokerConfig& config = loaded.config;
  const auto endpoints = shard.open();
  if (!endpoints) return report(endpoints.error());
  auto http = start_http(loaded, shard);
  if (!http) return report(http.error());
  if (const auto code = wait_ready(shard, signals, config.limits.stop_deadline)) return *code;
  print_ready_line(*endpoints, http->get(), config.data.dir);

  constexpr std::chrono::milliseconds step{1000};
  ProcessWatch watch(config.memory.resident_warn_bytes);
  while (!signals.wait(step)) {
    watch.look();
    if (!shard.wait_stopped(std::chrono::milliseconds{0})) continue;
    const auto outcome = shard.outcome();
    return report(outcome ? Error{Errc::bad_state, "the broker's loop ended"} : outcome.error());
  }
  diag::info("daemon", "stopping");
  shard.request_stop();
  return finish(shard, signals, config.limits.stop_deadline);
}

int run(int argc, char** argv) {
  prepare_process();
  auto parsed = parse_command_line(argc, argv);
  if (!parsed.command) return parsed.exit_code;
  CommandLine& command = *parsed.command;
  if (command.action == CommandLine::Action::print_config_markdown) {
    fmt::print("{}", config_markdown());
    return exit_ok;
  }
  command.sources.environment = process_environment();
  auto loaded = load_config(command.sources);
  if (!loaded) return report(loaded.error());
  if (command.action == CommandLine::Action::check_config) {
    write_standard_error("millraced: the configuration is good\n");
    return exit_ok;
  }
  if (command.action == CommandLine::Action::print_config_toml) {
    fmt::print("{}", config_toml(loaded->config));
    return exit_ok;
  }

  StopSignals signals;
  configure_diagnostics(loaded->config.log);
  EphemeralDirectory temporary;
  if (command.ephemeral) {
    auto made = EphemeralDirectory::make();
    if (!made) return report(made.error());
    temporary = std::move(*made);
    loaded->config.data.dir = temporary.path();
    ListenConfig& listen = loaded->config.listen;
    if (!loaded->origins.contains("listen.requests")) listen.requests = "tcp://127.0.0.1:0";
    if (!loaded->origins.contains("listen.live")) listen.live = "tcp://127.0.0.1:0";
    if (!loaded->origins.contains("listen.http")) listen.http = "127.0.0.1:0";
  }
  void* context = zmq_ctx_new();
  CHECK(context != nullptr, "a ZeroMQ context can be made");
  zmq_ctx_set(context, ZMQ_IO_THREADS, static_cast<int>(loaded->config.listen.io_threads));
  int code = exit_ok;
  {
    ShardThread shard(loaded->config, context);
    code = serve(*loaded, signals, shard);
    shard.request_stop();
    if (!shard.wait_stopped(last_patience)) {
      // A thread that does not end cannot be joined; it is left behind with the process.
      temporary = {};
      std::_Exit(code);
    }
  }
  // All sockets are closed by now; what their peers did not take within the linger is dropped.
  end_within(report_patience, code);
  zmq_ctx_term(context);
  diag::shutdown();
  return code;
}

}  // namespace
}  // namespace millrace

int main(int argc, char** argv) { return millrace::run(argc, argv); }
