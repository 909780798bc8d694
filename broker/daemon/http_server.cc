#include "broker/daemon/http_server.h"

#include "broker/daemon/config.h"
#include "broker/daemon/metrics_text.h"
#include "broker/wire/listen_error.h"

#include <fmt/core.h>
#include <httplib.h>
#include <netdb.h>
#include <nlohmann/json.hpp>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <thread>

namespace millrace {
namespace {

// A connection that sends its request byte by byte keeps one of them busy.
constexpr std::size_t worker_threads = 16;
constexpr time_t read_timeout_seconds = 2;
constexpr std::size_t body_bytes_max = 64 * 1024;
// The loop goes round every 100 ms when it is idle; a disk call or a large turn may take longer.
constexpr Duration beat_age_max = seconds(5);

void set_socket_options(socket_t socket) {
  // The library's own default shares the port with whoever asks, so that a second broker would not
  // notice the first.
  const int yes = 1;
  setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
}

// The library does not tell a name that is not known from an address that cannot be used.
bool resolves(const std::string& host) {
  const int error = errno;
  addrinfo* found = nullptr;
  const bool known = getaddrinfo(host.c_str(), nullptr, nullptr, &found) == 0;
  if (known) freeaddrinfo(found);
  errno = error;
  return known;
}

// In place of an empty body.
constexpr const char* what_there_is = "/health and /metrics are what there is here\n";

void answer_health(StatusSource& source, httplib::Response& response) {
  const bool beats = source.beat_age() < beat_age_max;
  const bool healthy = source.is_ready() && beats;
  // A restart makes no space: it is said, and the answer stays 200.
  const bool paused = source.metrics().appends_paused.get() != 0;
  const nlohmann::ordered_json body = {
      {"status", healthy && paused ? "no space: appends are paused"
                 : healthy         ? "ok"
                 : beats           ? "starting or stopping"
                                   : "stuck"},
      {"ready", source.is_ready()},
      {"uptime_seconds", source.uptime().ns / 1'000'000'000},
      {"loop_age_ms", source.beat_age().ns / 1'000'000},
  };
  response.status = healthy ? 200 : 503;
  response.set_content(body.dump() + "\n", "application/json");
}

}  // namespace

class HttpServer::Impl {
 public:
  explicit Impl(StatusSource& source) : source_(source) {
    server_.new_task_queue = [] { return new httplib::ThreadPool(worker_threads); };
    server_.set_socket_options(set_socket_options);
    server_.set_read_timeout(read_timeout_seconds);
    server_.set_write_timeout(read_timeout_seconds);
    server_.set_keep_alive_max_count(1);  // nobody keeps a worker between two requests
    server_.set_payload_max_length(body_bytes_max);
    server_.Get("/", [](const httplib::Request&, httplib::Response& response) {
      response.set_content(what_there_is, "text/plain");
    });
    server_.set_error_handler([](const httplib::Request&, httplib::Response& response) {
      if (response.body.empty() && response.status == 404)
        response.set_content(what_there_is, "text/plain");
    });
    server_.Get("/health", [this](const httplib::Request&, httplib::Response& response) {
      answer_health(source_, response);
    });
    server_.Get("/metrics", [this](const httplib::Request&, httplib::Response& response) {
      response.set_content(metrics_text(source_.metrics(), source_.status()),
                           "text/plain; version=0.0.4");
    });
  }

  ~Impl() {
    if (!thread_.joinable()) return;
    server_.stop();
    thread_.join();
  }

  Result<void> listen(const std::string& host, std::uint16_t port) {
    errno = 0;
    int bound = port;
    if (port == 0) {
      bound = server_.bind_to_any_port(host);
    } else if (!server_.bind_to_port(host, port)) {
      bound = -1;
    }
    if (bound < 0) {
      const int error = resolves(host) ? errno : ENODEV;
      return fail(listen_error(fmt::format("http {}:{}", host, port), error,
                               error == 0 ? "the address cannot be used" : std::strerror(error)));
    }
    address_ =
        fmt::format("{}:{}", host.find(':') == std::string::npos ? host : "[" + host + "]", bound);
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    // stop() does nothing before the server runs.
    while (!server_.is_running()) std::this_thread::yield();
    return {};
  }

  const std::string& address() const { return address_; }

 private:
  StatusSource& source_;
  httplib::Server server_;
  std::string address_;
  std::thread thread_;
};

Result<std::unique_ptr<HttpServer>> HttpServer::start(const std::string& address,
                                                      StatusSource& source) {
  const auto parts = parse_http_address(address);
  if (!parts)
    return fail(Errc::bad_config,
                fmt::format("\"{}\" is not an address; write HOST:PORT", address));
  auto impl = std::make_unique<Impl>(source);
  if (auto ok = impl->listen(parts->first, parts->second); !ok) return fail(ok.error());
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() = default;
const std::string& HttpServer::address() const { return impl_->address(); }

}  // namespace millrace
