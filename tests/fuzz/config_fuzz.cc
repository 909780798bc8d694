// Configuration from all its sources (PS-11): a TOML file, --set texts, variables.
//
// Input: lines up to one that is "--"; then lines that are --set texts, or, with a leading '$',
// variables. An error is one line; what is accepted prints as TOML that loads to the same.
#include "broker/daemon/config_load.h"
#include "broker/daemon/config_print.h"
#include "storage/base/check.h"
#include "tests/fuzz/fuzz.h"

#include <fmt/core.h>
#include <sys/mman.h>
#include <unistd.h>

namespace millrace::fuzz {
namespace {

// A file in memory with a path.
class MemoryFile {
 public:
  explicit MemoryFile(std::string_view text) : descriptor_(memfd_create("toml", MFD_CLOEXEC)) {
    CHECK(descriptor_ >= 0, "a file in memory can be made");
    while (!text.empty()) {
      const ssize_t count = ::write(descriptor_, text.data(), text.size());
      CHECK(count > 0, "a file in memory can be written");
      text.remove_prefix(static_cast<std::size_t>(count));
    }
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile() { ::close(descriptor_); }
  std::string path() const { return fmt::format("/proc/self/fd/{}", descriptor_); }

 private:
  int descriptor_;
};

bool only_ascii(const std::vector<std::string>& texts) {
  return std::all_of(texts.begin(), texts.end(), [](const std::string& text) {
    return std::all_of(text.begin(), text.end(),
                       [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  });
}

void run(ByteView input) {
  std::string_view text = as_text(input);
  constexpr std::string_view divider = "\n--\n";
  const std::size_t split = text.find(divider);
  const MemoryFile file(text.substr(0, split));
  ConfigSources sources;
  sources.file = file.path();
  text = split == std::string_view::npos ? "" : text.substr(split + divider.size());
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    if (line.starts_with('$')) {
      sources.environment.emplace_back(line.substr(1));
    } else {
      sources.sets.emplace_back(line);
    }
    text = end == std::string_view::npos ? "" : text.substr(end + 1);
  }
  const auto loaded = load_config(sources);
  if (!loaded) {
    CHECK(loaded.error().code == Errc::bad_config, "a bad configuration is called that");
    CHECK(!loaded.error().text.empty(), "an error says what is wrong");
    return;
  }
  // Names of files may be any bytes, TOML may not.
  if (!only_ascii(sources.sets) || !only_ascii(sources.environment)) return;
  const std::string printed = config_toml(loaded->config);
  const MemoryFile second(printed);
  ConfigSources only_file;
  only_file.file = second.path();
  const auto again = load_config(only_file);
  if (!again) fmt::print(stderr, "{}\n{}\n", again.error().text, printed);
  CHECK(again.has_value(), "a printed configuration loads");
  CHECK(config_toml(again->config) == printed, "a printed configuration loads to the same");
}

std::vector<Seed> seeds() {
  std::vector<Seed> out;
  const auto add = [&](std::string name, std::string_view text) {
    out.push_back({std::move(name), copy_of(as_bytes(text))});
  };
  add("file",
      "[data]\ndir = \"/tmp/x\"\nio = \"threads\"\n[listen]\nrequests = "
      "\"tcp://127.0.0.1:7711\"\ninsecure = false\n[topic]\nsegment_bytes = \"1 MiB\"\n"
      "retention_age = \"7 days\"\n[limits]\ntopics_max = 10\nstop_deadline = \"10 s\"\n");
  add("sets", "\n--\ntopic.segment_bytes=1 MiB\nlog.level=debug\nlisten.http=off\n");
  add("environment", "\n--\n$MILLRACE_DATA__DIR=/tmp/y\n$MILLRACE_LIMITS__TOPICS_MAX=5\n");
  add("errors", "[data]\nbir = 1\n");
  add("types", "a = [1, 2.5, 1979-05-27T07:32:00Z, { x = true }, '''y''', 0x1F, nan]\n");
  add("dotted", "data.dir = \"x\"\nlog.format = \"json\"\n");
  return out;
}

const Register registered({"config", run, nullptr, seeds});

}  // namespace
}  // namespace millrace::fuzz
