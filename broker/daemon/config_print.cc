#include "broker/daemon/config_print.h"

#include "broker/daemon/config_keys.h"

#include <fmt/core.h>

#include <iterator>

namespace millrace {
namespace {

std::string_view section_of(std::string_view name) { return name.substr(0, name.find('.')); }
std::string_view key_of(std::string_view name) { return name.substr(name.find('.') + 1); }

// A bar would end a table's cell.
std::string cell(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '|') out.push_back('\\');
    out.push_back(c);
  }
  return out;
}

}  // namespace

std::string config_toml(const BrokerConfig& config) {
  std::string out = "# millraced: every key, with the values in force.\n";
  std::string_view section;
  for (const KeySpec& key : config_keys()) {
    if (section_of(key.name) != section) {
      section = section_of(key.name);
      fmt::format_to(std::back_inserter(out), "\n[{}]\n", section);
    }
    const std::string range = range_text(key);
    fmt::format_to(std::back_inserter(out), "# {}{}{}{}\n{} = {}\n", key.sentence,
                   range.empty() ? "" : " (", range, range.empty() ? "" : ")", key_of(key.name),
                   toml_value(config, key));
  }
  return out;
}

std::string config_markdown() {
  const BrokerConfig defaults;
  std::string out;
  std::string_view section;
  for (const KeySpec& key : config_keys()) {
    if (section_of(key.name) != section) {
      section = section_of(key.name);
      fmt::format_to(std::back_inserter(out),
                     "{}### [{}]\n\n| Key | Default | Limits | Meaning |\n|---|---|---|---|\n",
                     out.empty() ? "" : "\n", section);
    }
    fmt::format_to(std::back_inserter(out), "| `{}` | `{}` | {} | {} |\n", key.name,
                   plain_value(defaults, key), cell(range_text(key)), cell(key.sentence));
  }
  return out;
}

}  // namespace millrace
