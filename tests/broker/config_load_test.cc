// Where settings come from, which wins, and what is refused with which words (fault PS-11).
#include "broker/daemon/config_load.h"

#include "broker/daemon/config_keys.h"
#include "broker/daemon/config_print.h"
#include "tests/support/temp_dir.h"

#include <catch2/catch.hpp>

#include <fstream>

namespace millrace {
namespace {

class ConfigFile {
 public:
  explicit ConfigFile(std::string_view text) { std::ofstream(path()) << text; }
  std::string path() const { return dir_ / "millrace.toml"; }

 private:
  test::TempDir dir_;
};

Result<LoadedConfig> load_text(std::string_view text) {
  const ConfigFile file(text);
  ConfigSources sources;
  sources.file = file.path();
  return load_config(sources);
}

// The error's text without the file's directory.
std::string error_of(const Result<LoadedConfig>& loaded) {
  if (loaded) return "no error";
  CHECK(loaded.error().code == Errc::bad_config);
  const std::string& text = loaded.error().text;
  const std::size_t name = text.find("millrace.toml");
  return name == std::string::npos ? text : text.substr(name);
}

Result<LoadedConfig> load_set(const std::string& set) {
  ConfigSources sources;
  sources.sets = {set};
  return load_config(sources);
}

Result<LoadedConfig> load_environment(const std::string& variable) {
  ConfigSources sources;
  sources.environment = {variable};
  return load_config(sources);
}

TEST_CASE("without any source the defaults stand") {
  const auto loaded = load_config({});
  REQUIRE(loaded);
  CHECK(loaded->config.listen.requests == "tcp://127.0.0.1:7711");
  CHECK(loaded->config.topic.segment_bytes == 256 * MiB);
  CHECK(loaded->origins.empty());
}

TEST_CASE("a file sets what it names") {
  const auto loaded = load_text(R"(
[data]
dir = "/srv/millrace"
[topic]
segment_bytes = "1 GiB"
retention_age = "30 days"
batch_bytes_max = 65536
[live]
by_default = false
[disk]
warn_percent = 80
)");
  REQUIRE(loaded);
  CHECK(loaded->config.data.dir == "/srv/millrace");
  CHECK(loaded->config.topic.segment_bytes == 1 * GiB);
  CHECK(loaded->config.topic.retention_age == seconds(30 * 86'400));
  CHECK(loaded->config.topic.batch_bytes_max == 65'536);
  CHECK_FALSE(loaded->config.live.by_default);
  CHECK(loaded->config.disk.warn_percent == 80);
}

TEST_CASE("flag wins over --set, that over the environment, that over the file") {
  const ConfigFile file("[data]\ndir = \"file\"\n");
  ConfigSources sources;
  sources.file = file.path();
  CHECK(load_config(sources)->config.data.dir == "file");
  sources.environment = {"PATH=/bin", "MILLRACE_DATA__DIR=environment",
                         "MILLRACE_BROKER=tcp://elsewhere:1"};
  CHECK(load_config(sources)->config.data.dir == "environment");
  sources.sets = {"data.dir=set"};
  CHECK(load_config(sources)->config.data.dir == "set");
  sources.flags = {{"--data-dir", "data.dir", "flag"}};
  CHECK(load_config(sources)->config.data.dir == "flag");
}

TEST_CASE("PS-11 an unknown key stops the load and names the nearest, file and line") {
  CHECK(error_of(load_text("[data]\n\ndri = \"x\"\n")) ==
        "millrace.toml:3: unknown key data.dri; the nearest is data.dir");
  CHECK(error_of(load_text("[topics]\nsegment_bytes = 1\n")) ==
        "millrace.toml:2: unknown key topics.segment_bytes; the nearest is topic.segment_bytes");
  CHECK(error_of(load_text("dir = \"x\"\n")) ==
        "millrace.toml:1: unknown key dir; the nearest is data.dir");
  CHECK(error_of(load_set("log.levle=info")) ==
        "--set: unknown key log.levle; the nearest is log.level");
  CHECK(error_of(load_set("disk.warn=80")) ==
        "--set: unknown key disk.warn; the nearest is disk.warn_percent");
}

TEST_CASE("PS-11 an unknown key of the environment names the nearest variable") {
  CHECK(error_of(load_environment("MILLRACE_LOG__LEVLE=info")) ==
        "environment MILLRACE_LOG__LEVLE: unknown key log.levle; the nearest is "
        "MILLRACE_LOG__LEVEL");
  CHECK(error_of(load_environment("MILLRACE_DISK_WARN_PERCENT=80")) ==
        "environment MILLRACE_DISK_WARN_PERCENT: two underscores stand behind the section; write "
        "MILLRACE_DISK__WARN_PERCENT");
  CHECK(load_environment("MILLRACE_JOBS=2"));
}

TEST_CASE("PS-11 an unknown key that is like none names none, but where all of them are") {
  CHECK(error_of(load_text("[network]\nthreads = 3\n")) ==
        "millrace.toml:2: unknown key network.threads; millraced --print-config lists all keys");
  CHECK(error_of(load_set("colour=red")) ==
        "--set: unknown key colour; millraced --print-config lists all keys");
}

TEST_CASE("PS-11 a value of the wrong type is refused with file and line") {
  CHECK(error_of(load_text("[live]\nby_default = \"yes\"\n")) ==
        "millrace.toml:2: live.by_default: \"yes\" is not true or false");
  CHECK(error_of(load_text("[topic]\nsegment_age = 7\n")) ==
        "millrace.toml:2: topic.segment_age: \"7\" is not a time such as \"500 ms\" or \"7 days\": "
        "the unit is missing; allowed is 0 to 36500 days");
  CHECK(error_of(load_text("[disk]\nwarn_percent = \"80\"\n")) ==
        "millrace.toml:2: disk.warn_percent: \"80\" is not a percentage as a whole number; allowed "
        "is 1 "
        "to 100");
  CHECK(error_of(load_text("[data]\ndir = [1, 2]\n")) ==
        "millrace.toml:2: data.dir: \"an array\" is not a text");
  CHECK(error_of(load_text("[topic]\nsegment_bytes = 1.5\n"))
            .starts_with("millrace.toml:2: topic.segment_bytes: "));
}

TEST_CASE("PS-11 a number outside its limits is refused with the limits and the value") {
  CHECK(error_of(load_set("topic.segment_bytes=1 KiB")) ==
        "--set: topic.segment_bytes: 1 KiB is outside its limits, 64 KiB to 4194300 KiB");
  CHECK(error_of(load_set("limits.topics_max=99999999999999")) ==
        "--set: limits.topics_max: 99999999999999 is outside its limits, 1 to 1000000");
  CHECK(error_of(load_set("disk.warn_percent=101")) ==
        "--set: disk.warn_percent: 101 is outside its limits, 1 to 100");
  CHECK(error_of(load_set("topic.batch_bytes_max=-1")) ==
        "--set: topic.batch_bytes_max: \"-1\" is not a size such as \"256 MiB\"; allowed is 1 "
        "KiB to 64 MiB");
  CHECK(
      error_of(load_set("limits.stop_deadline=1")) ==
      "--set: limits.stop_deadline: \"1\" is not a time such as \"500 ms\" or \"7 days\": the unit "
      "is missing; allowed is 100 ms to 10 min");
  CHECK(
      error_of(load_environment("MILLRACE_DISK__WARN_PERCENT=lots")) ==
      "environment MILLRACE_DISK__WARN_PERCENT: disk.warn_percent: \"lots\" is not a percentage as "
      "a whole number; allowed is 1 to 100");
  CHECK(error_of(load_set("log.level=loud")) ==
        "--set: log.level: \"loud\" is not one of debug|info|warn|error|off");
  CHECK(error_of(load_set("data.io=")) ==
        "--set: data.io: \"\" is not one of auto|io_uring|threads");
}

TEST_CASE("PS-11 an impossible combination is refused with both keys") {
  CHECK(error_of(load_text("[disk]\nwarn_percent = 96\n")) ==
        "millrace.toml:2: disk.warn_percent = 96 must not be above disk.refuse_percent = 95");
  CHECK(error_of(load_set("topic.batch_bytes_max=64 MiB")) ==
        "--set: topic.batch_bytes_max = 64 MiB must not be above limits.client_bytes_max = 32 MiB");
}

TEST_CASE("PS-11 broken TOML is refused with file and line") {
  CHECK(error_of(load_text("[data]\ndir = \n")).starts_with("millrace.toml:2: "));
  CHECK(error_of(load_text("[data]\ndir = \"a\"\ndir = \"b\"\n")).starts_with("millrace.toml:3: "));
  ConfigSources sources;
  sources.file = "/nonexistent/millrace.toml";
  CHECK(error_of(load_config(sources))
            .ends_with("millrace.toml: cannot read the configuration file: No such file or "
                       "directory; check the path and its permissions"));
}

TEST_CASE(
    "PS-11 a directory in the file's place is refused, and so is a data directory without a name") {
  const test::TempDir dir;
  ConfigSources sources;
  sources.file = dir.path();
  CHECK(error_of(load_config(sources)) == dir.path() +
                                              ": cannot read the configuration file: Is a "
                                              "directory; check the path and its permissions");
  CHECK(error_of(load_set("data.dir=")) == "--set: data.dir is empty; name a directory");
}

TEST_CASE("text that is no endpoint is refused") {
  for (const char* endpoint : {"7711", "http://127.0.0.1:7711", "tcp://127.0.0.1",
                               "tcp://127.0.0.1:99999", "tcp://:1", "ipc://", "off", ""}) {
    INFO(endpoint);
    const auto loaded = load_set(std::string("listen.requests=") + endpoint);
    REQUIRE_FALSE(loaded);
    CHECK(loaded.error().text.starts_with("--set: listen.requests: "));
  }
  for (const char* set : {"listen.requests=tcp://127.0.0.1:99999", "listen.live=tcp://127.0.0.1:x",
                          "listen.http=127.0.0.1:65536"})
    CHECK(load_set(set).error().text.ends_with("\" is not 0 to 65535; 0 picks a free one"));
  CHECK(load_set("listen.live=off"));
  CHECK(load_set("listen.http="));
  CHECK_FALSE(load_set("listen.http=nowhere"));
  CHECK(load_set("listen.requests=tcp://127.0.0.1:0, ipc:///tmp/millrace.sock,inproc://x"));
}

TEST_CASE("an address that others can reach needs insecure") {
  for (const char* set : {"listen.requests=tcp://*:7711", "listen.requests=tcp://0.0.0.0:7711",
                          "listen.live=tcp://10.1.2.3:1", "listen.http=0.0.0.0:7713",
                          "listen.requests=tcp://127.0.0.1:1,tcp://eth0:1"}) {
    INFO(set);
    const auto refused = load_set(set);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().text.find("--insecure") != std::string::npos);
    ConfigSources sources;
    sources.sets = {set, "listen.insecure=true"};
    CHECK(load_config(sources));
  }
}

TEST_CASE("an IPv6 endpoint names the key that allows it") {
  const auto refused = load_set("listen.requests=tcp://[::1]:0");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().text.find("listen.ipv6 = true") != std::string::npos);
  ConfigSources sources;
  sources.sets = {"listen.requests=tcp://[::1]:0", "listen.ipv6=true"};
  CHECK(load_config(sources));
}

TEST_CASE("every default lies within its own limits and has a sentence") {
  const BrokerConfig defaults;
  for (const KeySpec& key : config_keys()) {
    INFO(key.name);
    BrokerConfig config;
    CHECK(set_key(config, key, {RawValue::Type::untyped, plain_value(defaults, key)}));
    CHECK(key.sentence.ends_with("."));
    CHECK(find_key(key.name) == &key);
    CHECK(nearest_key(key.name) == key.name);
  }
}

TEST_CASE("what print-config prints loads again as the same") {
  auto first = load_set("data.dir=with \"quotes\" and \\ and \ttab");
  REQUIRE(first);
  first->config.topic.segment_bytes = 123'456'789;
  first->config.topic.retention_age = milliseconds(1'500);
  first->config.live.by_default = false;
  const std::string printed = config_toml(first->config);
  const auto second = load_text(printed);
  REQUIRE(second);
  CHECK(config_toml(second->config) == printed);
  for (const KeySpec& key : config_keys()) CHECK(second->origins.contains(key.name));
}

TEST_CASE("the settings table has a row for every key") {
  const std::string table = config_markdown();
  for (const KeySpec& key : config_keys())
    CHECK(table.find("| `" + std::string(key.name) + "` |") != std::string::npos);
}

}  // namespace
}  // namespace millrace
