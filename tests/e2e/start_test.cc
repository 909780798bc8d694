// How millraced starts, what it says, and with which code it refuses to.
#include "storage/base/bytes.h"
#include "storage/base/crc32c.h"
#include "tests/e2e/load.h"
#include "tests/e2e/millraced_process.h"
#include "tests/e2e/tcp_stranger.h"
#include "tests/support/patience.h"
#include "tests/support/raw_client.h"
#include "tests/support/temp_dir.h"

#include <catch2/catch.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace millrace::test {
namespace {

std::size_t lines(const std::string& text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

// Runs to its end.
struct Ended {
  explicit Ended(MillracedProcess::Options options) : process(options), code(process.wait()) {}
  explicit Ended(std::vector<std::string> arguments)
      : Ended(MillracedProcess::Options{std::move(arguments), {}, 0}) {}
  MillracedProcess process;
  int code;
  std::string diagnostics() const { return process.diagnostics(); }
};

TEST_CASE("one line on standard output says where it listens, and nothing else ever does") {
  const TempDir dir;
  MillracedProcess broker(MillracedProcess::on(dir / "data"));
  const ReadyLine ready = broker.ready();
  CHECK(ready.text.starts_with(R"({"ready":true,"listen":"tcp://127.0.0.1:)"));
  CHECK(ready.listen != "tcp://127.0.0.1:0");
  CHECK(ready.data_dir == dir / "data");
  RawClient client(ready.listen);
  const RawReply reply = client.call({raw::ping(1)});
  const auto* pong = reply.as<wire::Pong>();
  REQUIRE(pong != nullptr);
  CHECK(pong->live()->str() == ready.live);
  broker.signal(SIGTERM);
  CHECK(broker.wait() == 0);
  CHECK(broker.output() == ready.text + "\n");
}

TEST_CASE("an ephemeral broker removes its directory when it ends") {
  MillracedProcess::Options options;
  options.arguments = {"--ephemeral"};
  MillracedProcess broker(options);
  const ReadyLine ready = broker.ready();
  CHECK(std::filesystem::exists(ready.data_dir));
  RawClient(ready.listen).call({raw::create_topic(1, "orders", 2)});
  broker.signal(SIGINT);
  CHECK(broker.wait() == 0);
  CHECK_FALSE(std::filesystem::exists(ready.data_dir));
}

TEST_CASE("bad usage and bad configuration exit with 2 and one line that says why") {
  const TempDir dir;
  std::ofstream(dir / "bad.toml") << "[data]\ndri = \"x\"\n";
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{"--nonsense"}, "--nonsense"},
      {{"--set", "data.dri=x"}, "the nearest is data.dir"},
      {{"--config", dir / "bad.toml"}, "bad.toml:2: unknown key data.dri"},
      {{"--config", dir / "none.toml"}, "cannot read"},
      {{"--listen", "nowhere"}, "is not an endpoint"},
      {{"--listen", "tcp://no such host:7711"}, "does not resolve to an address of this machine"},
      {{"--listen", "tcp://127.0.0.1:99999"}, "is not 0 to 65535"},
      {{"--listen", "tcp://0.0.0.0:7711"}, "--insecure"},
      {{"--log-level", "loud"}, "loud"},
      {{"--ephemeral", "--data-dir", "x"}, "--data-dir"},
      {{"--check-config", "--set", "topic.segment_bytes=1"}, "topic.segment_bytes"},
  };
  for (const auto& [arguments, words] : cases) {
    std::vector<std::string> all = arguments;
    if (arguments[0] == "--listen")
      for (const char* more : {"--data-dir", "", "--live", "off", "--http", "off", "--log-level",
                               "error", "--insecure"})
        all.push_back(*more == '\0' ? dir / "data" : more);
    if (words == "--insecure") all.pop_back();
    const Ended ended(all);
    INFO(arguments[0] << " " << arguments.back() << ": " << ended.diagnostics());
    CHECK(ended.code == 2);
    CHECK(ended.diagnostics().find(words) != std::string::npos);
    CHECK(lines(ended.diagnostics()) == 1);
    CHECK(ended.process.output().empty());
  }
}

TEST_CASE("an HTTP address whose name nobody knows is bad configuration and says so") {
  const TempDir dir;
  const Ended ended({"--data-dir", dir / "data", "--listen", "tcp://127.0.0.1:0", "--live", "off",
                     "--http", "nohost.invalid:0", "--insecure", "--log-level", "error"});
  INFO(ended.diagnostics());
  CHECK(ended.code == 2);
  CHECK(ended.diagnostics().find("does not resolve to an address of this machine") !=
        std::string::npos);
}

TEST_CASE("a good configuration is checked and printed, and what is printed is good") {
  const TempDir dir;
  CHECK(Ended({"--check-config"}).code == 0);
  const Ended printed({"--set", "topic.retention_age=30 days", "--print-config"});
  CHECK(printed.code == 0);
  CHECK(printed.process.output().find("retention_age = \"30 days\"") != std::string::npos);
  std::ofstream(dir / "printed.toml") << printed.process.output();
  const Ended again({"--config", dir / "printed.toml", "--print-config"});
  CHECK(again.process.output() == printed.process.output());
  CHECK(Ended({"--print-config=markdown"}).process.output().find("| `data.dir` |") !=
        std::string::npos);
  CHECK(Ended({"--version"}).process.output().starts_with("millraced "));
}

TEST_CASE("the environment sets keys and flags win over it") {
  const TempDir dir;
  MillracedProcess::Options options = MillracedProcess::on(dir / "flag");
  options.environment = {"MILLRACE_DATA__DIR=" + (dir / "environment"),
                         "MILLRACE_LOG__LEVEL=debug"};
  MillracedProcess broker(options);
  CHECK(broker.ready().data_dir == dir / "flag");
  CHECK_FALSE(std::filesystem::exists(dir / "environment"));
}

TEST_CASE("a port in use is one clear line that names the endpoint, and exit 1") {
  const TempDir dir;
  MillracedProcess first(MillracedProcess::on(dir / "first"));
  const ReadyLine ready = first.ready();
  for (const auto& [flag, endpoint] :
       {std::pair{"--listen", ready.listen}, std::pair{"--live", ready.live},
        std::pair{"--http", ready.http}}) {
    auto options = MillracedProcess::on(dir / "second");
    for (std::size_t i = 0; i < options.arguments.size(); ++i)
      if (options.arguments[i] == flag) options.arguments[i + 1] = endpoint;
    options.arguments.insert(options.arguments.end(), {"--log-level", "error"});
    const Ended second(options);
    INFO(flag << ": " << second.diagnostics());
    CHECK(second.code == 1);
    CHECK(lines(second.diagnostics()) == 1);
    CHECK(second.diagnostics().find(endpoint) != std::string::npos);
    CHECK(second.process.output().empty());
  }
}

TEST_CASE(
    "an endpoint flag that is given twice adds, and an ipc path in use is refused like a port") {
  const TempDir dir;
  const std::string path = "ipc://" + (dir / "socket");
  MillracedProcess first(MillracedProcess::on(dir / "first", {"--listen", path}));
  const ReadyLine ready = first.ready();
  CHECK(ready.listen.starts_with("tcp://127.0.0.1:"));
  CHECK(ready.listen.ends_with("," + path));
  CHECK(RawClient(path).call({raw::ping(1)}).error() == 0);
  const Ended second(MillracedProcess::on(dir / "second", {"--listen", path}));
  INFO(second.diagnostics());
  CHECK(second.code == 1);
  CHECK(second.diagnostics().find(path) != std::string::npos);
  CHECK(RawClient(path).call({raw::ping(1)}).error() == 0);
}

TEST_CASE("ST-28 a data directory in use is refused with 3, and free again after a kill") {
  const TempDir dir;
  MillracedProcess first(MillracedProcess::on(dir / "data"));
  first.ready();
  const Ended second(MillracedProcess::on(dir / "data"));
  INFO(second.diagnostics());
  CHECK(second.code == 3);
  CHECK(second.diagnostics().find(dir / "data") != std::string::npos);
  CHECK(second.process.output().empty());
  // The first is not disturbed.
  CHECK(RawClient(first.ready().listen).call({raw::ping(1)}).error() == 0);
  first.signal(SIGKILL);
  first.wait();
  MillracedProcess third(MillracedProcess::on(dir / "data"));
  third.ready();
}

TEST_CASE("PS-12 a data directory of a newer format is refused with 3 and not touched") {
  const TempDir dir;
  {
    MillracedProcess broker(MillracedProcess::on(dir / "data"));
    broker.ready();
    broker.signal(SIGTERM);
    REQUIRE(broker.wait() == 0);
  }
  std::fstream identity(dir / "data/identity", std::ios::in | std::ios::out | std::ios::binary);
  std::string bytes(4096, '\0');
  identity.read(bytes.data(), 4096);
  bytes[8] = 2;  // format version
  const std::uint32_t crc = crc32c(as_bytes(bytes).first(4092));
  std::memcpy(bytes.data() + 4092, &crc, 4);
  identity.seekp(0);
  identity.write(bytes.data(), 4096);
  identity.close();
  const Ended ended(MillracedProcess::on(dir / "data"));
  INFO(ended.diagnostics());
  CHECK(ended.code == 3);
  std::ifstream again(dir / "data/identity", std::ios::binary);
  std::string after(4096, '\0');
  again.read(after.data(), 4096);
  CHECK(after == bytes);
}

TEST_CASE("ST-11 the data of another broker is refused with 3 and not touched") {
  const TempDir dir;
  for (const char* name : {"data", "other"}) {
    MillracedProcess broker(MillracedProcess::on(dir / name));
    RawClient client(broker.ready().listen);
    REQUIRE(client.call({raw::create_topic(1, "orders", 1)}).error() == 0);
    REQUIRE(client.call({raw::produce(2, {}), make_batch(name)}).error() == 0);
    broker.signal(SIGTERM);
    REQUIRE(broker.wait() == 0);
  }
  std::filesystem::copy_file(dir / "data/identity", dir / "kept");
  const auto replace_identity = [&](const std::string& from) {
    std::filesystem::copy_file(dir / from, dir / "data/identity",
                               std::filesystem::copy_options::overwrite_existing);
  };
  replace_identity("other/identity");
  const Ended ended(MillracedProcess::on(dir / "data", {"--log-level", "error"}));
  INFO(ended.diagnostics());
  CHECK(ended.code == 3);
  CHECK(lines(ended.diagnostics()) == 1);
  CHECK(ended.diagnostics().find("put the identity file of") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(dir / "data/quarantine"));
  replace_identity("kept");
  MillracedProcess again(MillracedProcess::on(dir / "data"));
  CHECK(read_all(again.ready().listen, "orders") == std::vector<std::string>{"data"});
}

TEST_CASE("a directory that is something else is refused with 3 and not touched") {
  const TempDir dir;
  std::filesystem::create_directory(dir / "data");
  std::ofstream(dir / "data/letter.txt") << "dear reader";
  const Ended ended(MillracedProcess::on(dir / "data"));
  INFO(ended.diagnostics());
  CHECK(ended.code == 3);
  CHECK(std::filesystem::exists(dir / "data/letter.txt"));
  CHECK_FALSE(std::filesystem::exists(dir / "data/topics"));
}

TEST_CASE("a directory that may not be written is refused with 3") {
  if (geteuid() != 0) return;  // only root can become somebody else
  const TempDir dir;
  std::filesystem::create_directory(dir / "data");
  REQUIRE(chmod(dir.path().c_str(), 0755) == 0);
  auto options = MillracedProcess::on(dir / "data");
  options.uid = 65'534;
  const Ended ended(options);
  INFO(ended.diagnostics());
  CHECK(ended.code == 3);
  CHECK(ended.diagnostics().find(dir / "data") != std::string::npos);
}

TEST_CASE("health is good while it serves and metrics are text that says what happened") {
  const TempDir dir;
  MillracedProcess broker(MillracedProcess::on(dir / "data"));
  const ReadyLine ready = broker.ready();
  RawClient client(ready.listen);
  REQUIRE(client.call({raw::create_topic(1, "orders", 1)}).error() == 0);
  REQUIRE(client.call({raw::produce(2, {}), make_batch({{"k", "one"}, {"k", "two"}})}).error() ==
          0);
  const std::string health = http_get(ready.http, "/health");
  CHECK(health.starts_with("HTTP/1.1 200"));
  CHECK(health.find(R"("status":"ok")") != std::string::npos);
  // A shard that has no processor is not waited for, and its last status is told.
  std::string metrics;
  CHECK(eventually([&] {
    metrics = http_get(ready.http, "/metrics");
    return metrics.find("millrace_connections 1\n") != std::string::npos;
  }));
  INFO(metrics);
  for (const char* line :
       {"millrace_events_appended_total{topic=\"orders\",partition=\"0\"} 2\n",
        "millrace_partition_durable_offset{topic=\"orders\",partition=\"0\"} 2\n",
        "millrace_connections 1\n", "# TYPE millrace_append_latency_seconds histogram\n",
        "millrace_append_latency_seconds_count 1\n", "millrace_sync_batch_events_sum 2\n",
        "millrace_disk_watermark_state 0\n", "millrace_io_backend{backend="})
    CHECK(metrics.find(line) != std::string::npos);
  const std::string nothing = http_get(ready.http, "/nothing");
  CHECK(nothing.starts_with("HTTP/1.1 404"));
  CHECK(nothing.ends_with("\r\n\r\n/health and /metrics are what there is here\n"));
  const std::string root = http_get(ready.http, "/");
  CHECK(root.starts_with("HTTP/1.1 200"));
  CHECK(root.ends_with("\r\n\r\n/health and /metrics are what there is here\n"));
}

TEST_CASE("with plain calls in threads instead of io_uring it serves as well") {
  const TempDir dir;
  MillracedProcess broker(MillracedProcess::on(dir / "data", {"--set", "data.io=threads"}));
  const ReadyLine ready = broker.ready();
  RawClient client(ready.listen);
  REQUIRE(client.call({raw::create_topic(1, "orders", 1)}).error() == 0);
  CHECK(client.call({raw::produce(2, {}), make_batch("payload")})
            .as<wire::Produced>()
            ->end_offset() == 1);
  CHECK(http_get(ready.http, "/metrics").find("millrace_io_backend{backend=\"threads\"} 1") !=
        std::string::npos);
  broker.signal(SIGTERM);
  CHECK(broker.wait() == 0);
}

}  // namespace
}  // namespace millrace::test
