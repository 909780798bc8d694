#include "broker/daemon/config_load.h"

#include "broker/daemon/config_keys.h"

#include <fmt/core.h>
#include <toml++/toml.h>
#include <unistd.h>

#include <cctype>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <expected>

namespace millrace {
namespace {

struct Setting {
  std::string key;
  RawValue value;
  std::string origin;
  bool of_environment = false;
};

constexpr std::string_view variable_prefix = "MILLRACE_";

// "disk.warn_percent" → "MILLRACE_DISK__WARN_PERCENT".
std::string variable_of(std::string_view key) {
  std::string out(variable_prefix);
  for (const char c : key) {
    if (c == '.') {
      out += "__";
    } else {
      out += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    }
  }
  return out;
}

// Of a variable that names a key but for the second of the underscores behind the section: how it
// is written. Nothing says that it was meant for another program.
std::optional<std::string> meant_variable(std::string_view name) {
  for (const KeySpec& key : config_keys()) {
    std::string variable = variable_of(key.name);
    std::string single = variable;
    single.erase(single.find("__"), 1);
    if (name == single) return variable;
  }
  return std::nullopt;
}

Result<void> apply(LoadedConfig& loaded, const Setting& setting) {
  const KeySpec* key = find_key(setting.key);
  if (key == nullptr) {
    const auto nearest = nearest_key(setting.key);
    return fail(Errc::bad_config,
                fmt::format("{}: unknown key {}; {}", setting.origin, setting.key,
                            nearest ? fmt::format("the nearest is {}", setting.of_environment
                                                                           ? variable_of(*nearest)
                                                                           : std::string(*nearest))
                                    : "millraced --print-config lists all keys"));
  }
  if (auto ok = set_key(loaded.config, *key, setting.value); !ok)
    return fail(Errc::bad_config,
                fmt::format("{}: {}: {}", setting.origin, setting.key, ok.error().text));
  loaded.origins[setting.key] = setting.origin;
  return {};
}

RawValue raw_value(const toml::node& node) {
  using Type = RawValue::Type;
  if (const auto* text = node.as_string()) return {Type::text, text->get()};
  if (const auto* integer = node.as_integer())
    return {Type::integer, fmt::format("{}", integer->get())};
  if (const auto* boolean = node.as_boolean())
    return {Type::boolean, boolean->get() ? "true" : "false"};
  if (const auto* number = node.as_floating_point())
    return {Type::other, fmt::format("{}", number->get())};
  return {Type::other, node.is_array()   ? "an array"
                       : node.is_table() ? "a table"
                                         : "a date or time"};
}

Result<void> apply_table(LoadedConfig& loaded, const std::string& file, const std::string& prefix,
                         const toml::table& table) {
  for (const auto& [name, node] : table) {
    const std::string key =
        prefix.empty() ? std::string(name.str()) : prefix + "." + std::string(name.str());
    const auto* inner = node.as_table();
    if (inner != nullptr && prefix.empty()) {
      if (auto ok = apply_table(loaded, file, key, *inner); !ok) return ok;
      continue;
    }
    const Setting setting{key, raw_value(node),
                          fmt::format("{}:{}", file, node.source().begin.line)};
    if (auto ok = apply(loaded, setting); !ok) return ok;
  }
  return {};
}

// The whole file, or the errno of what failed: streams tell a directory by an exception.
std::expected<std::string, int> read_file(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "re");
  if (file == nullptr) return std::unexpected(errno);
  std::string text;
  char block[4096];
  std::size_t count = 0;
  errno = 0;
  while ((count = std::fread(block, 1, sizeof block, file)) > 0) text.append(block, count);
  const int error = std::ferror(file) != 0 ? errno : 0;
  std::fclose(file);
  if (error != 0) return std::unexpected(error);
  return text;
}

Result<void> apply_file(LoadedConfig& loaded, const std::string& path) {
  const auto text = read_file(path);
  if (!text)
    return fail(Errc::bad_config, fmt::format("{}: cannot read the configuration file: {}; check "
                                              "the path and its permissions",
                                              path, std::strerror(text.error())));
  try {
    return apply_table(loaded, path, "", toml::parse(*text, path));
  } catch (const toml::parse_error& error) {
    return fail(Errc::bad_config,
                fmt::format("{}:{}: {}", path, error.source().begin.line, error.description()));
  }
}

// MILLRACE_SECTION__KEY names section.key. Other MILLRACE_ variables belong to other programs.
Result<void> apply_environment(LoadedConfig& loaded, const std::vector<std::string>& environment) {
  for (const std::string& variable : environment) {
    const std::size_t equals = variable.find('=');
    if (equals == std::string::npos || !variable.starts_with(variable_prefix)) continue;
    const std::string name = variable.substr(0, equals);
    std::string key = name.substr(variable_prefix.size());
    const std::size_t split = key.find("__");
    if (split == std::string::npos) {
      if (const auto meant = meant_variable(name))
        return fail(
            Errc::bad_config,
            fmt::format("environment {}: two underscores stand behind the section; write {}", name,
                        *meant));
      continue;
    }
    key.replace(split, 2, ".");
    for (char& c : key) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    const Setting setting{key,
                          {RawValue::Type::untyped, variable.substr(equals + 1)},
                          "environment " + name,
                          /*of_environment=*/true};
    if (auto ok = apply(loaded, setting); !ok) return ok;
  }
  return {};
}

Result<void> apply_set(LoadedConfig& loaded, const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0)
    return fail(Errc::bad_config, fmt::format("--set {}: write --set section.key=value", text));
  return apply(
      loaded,
      {text.substr(0, equals), {RawValue::Type::untyped, text.substr(equals + 1)}, "--set"});
}

}  // namespace

Result<LoadedConfig> load_config(const ConfigSources& sources) {
  LoadedConfig loaded;
  if (!sources.file.empty()) {
    if (auto ok = apply_file(loaded, sources.file); !ok) return fail(ok.error());
  }
  if (auto ok = apply_environment(loaded, sources.environment); !ok) return fail(ok.error());
  for (const std::string& text : sources.sets) {
    if (auto ok = apply_set(loaded, text); !ok) return fail(ok.error());
  }
  for (const ConfigSources::Flag& flag : sources.flags) {
    const Setting setting{flag.key, {RawValue::Type::untyped, flag.value}, flag.flag};
    if (auto ok = apply(loaded, setting); !ok) return fail(ok.error());
  }
  if (auto ok = check_config(loaded.config, loaded.origins); !ok) return fail(ok.error());
  return loaded;
}

std::vector<std::string> process_environment() {
  std::vector<std::string> out;
  for (char** variable = environ; *variable != nullptr; ++variable) out.emplace_back(*variable);
  return out;
}

}  // namespace millrace
