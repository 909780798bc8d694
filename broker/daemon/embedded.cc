#include "millrace/embedded.h"

#include "broker/daemon/config_load.h"
#include "broker/daemon/ephemeral_directory.h"
#include "broker/daemon/shard_thread.h"
#include "storage/base/check.h"

#include <fmt/core.h>
#include <zmq.h>

#include <atomic>
#include <mutex>
#include <utility>

namespace millrace {
namespace {

constexpr std::chrono::milliseconds ready_step{1'000};
// Sockets that may be open at a time in the process's context: brokers and clients of a whole test
// program.
constexpr int sockets_max = 65'535;

// inproc:// joins sockets of one context only, so all embedded brokers of a process share one. It
// is never ended: a client that outlives its broker still has sockets in it, and ending it would
// wait for them.
void* process_context() {
  static void* const context = [] {
    void* made = zmq_ctx_new();
    CHECK(made != nullptr, "a ZeroMQ context can be made");
    zmq_ctx_set(made, ZMQ_MAX_SOCKETS, sockets_max);
    return made;
  }();
  return context;
}

ClientError to_client_error(const Error& error) {
  ClientError out;
  out.code = static_cast<std::uint16_t>(error.code);
  out.name = errc_name(error.code);
  out.origin = Origin::broker;
  out.text = error.text;
  out.can_retry = errc_can_retry(error.code);
  return out;
}

Outcome<void> to_outcome(const Result<void>& result) {
  if (!result) return std::unexpected(to_client_error(result.error()));
  return {};
}

std::string fresh_name(std::string_view part) {
  static std::atomic<std::uint64_t> next{1};
  return fmt::format("inproc://millrace-{}-{}", part, next.fetch_add(1));
}

}  // namespace

class EmbeddedBroker::Impl {
 public:
  Impl(const BrokerConfig& config, EphemeralDirectory temporary)
      : temporary_(std::move(temporary)),
        data_dir_(config.data.dir),
        shard_(config, process_context()) {}

  Result<void> start() {
    auto endpoints = shard_.open();
    if (!endpoints) return fail(endpoints.error());
    endpoints_ = std::move(*endpoints);
    while (!shard_.wait_ready(ready_step)) {
    }
    return shard_.outcome();
  }

  Result<void> stop() {
    shard_.request_stop();
    while (!shard_.wait_stopped(ready_step)) {
    }
    return shard_.outcome();
  }

  ClientOptions client_options() const {
    ClientOptions out;
    out.endpoint = endpoints_.requests.substr(0, endpoints_.requests.find(','));
    out.live_endpoint = endpoints_.live.substr(0, endpoints_.live.find(','));
    out.zmq_context = process_context();
    return out;
  }
  const std::string& data_dir() const { return data_dir_; }

 private:
  EphemeralDirectory temporary_;  // removed last
  std::string data_dir_;
  BoundEndpoints endpoints_;
  ShardThread shard_;
};

Outcome<EmbeddedBroker> EmbeddedBroker::start(EmbeddedBrokerOptions options) {
  EphemeralDirectory temporary;
  if (options.data_dir.empty()) {
    auto made = EphemeralDirectory::make();
    if (!made) return std::unexpected(to_client_error(made.error()));
    temporary = std::move(*made);
    options.data_dir = temporary.path();
  }
  // A program's own settings only: the environment is the user's, for millraced.
  ConfigSources sources;
  sources.sets = std::move(options.settings);
  sources.flags = {
      {"data_dir", "data.dir", options.data_dir},
      {"listen", "listen.requests",
       options.listen.empty() ? fresh_name("requests") : options.listen},
      {"live", "listen.live", options.live.empty() ? fresh_name("live") : options.live},
      {"embedded", "listen.http", "off"}};
  auto loaded = load_config(sources);
  if (!loaded) return std::unexpected(to_client_error(loaded.error()));
  auto impl = std::make_unique<Impl>(loaded->config, std::move(temporary));
  if (auto ok = impl->start(); !ok) return std::unexpected(to_client_error(ok.error()));
  return EmbeddedBroker(std::move(impl));
}

EmbeddedBroker::EmbeddedBroker(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
EmbeddedBroker::EmbeddedBroker(EmbeddedBroker&&) noexcept = default;
EmbeddedBroker& EmbeddedBroker::operator=(EmbeddedBroker&&) noexcept = default;
EmbeddedBroker::~EmbeddedBroker() = default;

ClientOptions EmbeddedBroker::client_options() const { return impl_->client_options(); }
const std::string& EmbeddedBroker::data_dir() const { return impl_->data_dir(); }
Outcome<void> EmbeddedBroker::stop() { return to_outcome(impl_->stop()); }

}  // namespace millrace
