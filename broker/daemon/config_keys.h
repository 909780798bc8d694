// The table of every key: name, unit, default, bounds and one sentence. Loading, printing and the
// settings table of docs/operations.md all come from here.
#pragma once

#include "broker/daemon/config.h"

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace millrace {

enum class KeyKind { text, choice, boolean, bytes, duration, count, percent };

using KeyField = std::variant<std::string*, bool*, std::uint64_t*, Duration*>;

struct KeySpec {
  std::string_view name;  // "section.key"
  KeyKind kind;
  KeyField (*field)(BrokerConfig& config);
  std::uint64_t min = 0, max = 0;  // bytes, ns, counts, per cent; both inclusive
  std::string_view choices;        // "a|b|c"
  std::string_view sentence;
};

std::span<const KeySpec> config_keys();
// Null: no such key.
const KeySpec* find_key(std::string_view name);
// The existing key that was probably meant; nothing if none is near.
std::optional<std::string_view> nearest_key(std::string_view name);

// A value as some source gave it.
struct RawValue {
  // `untyped` comes from the environment and the command line, the rest from TOML.
  enum class Type { untyped, text, integer, boolean, other };
  Type type = Type::untyped;
  std::string text;
};

// Errors: bad_config, with the value and the limit, without the key.
Result<void> set_key(BrokerConfig& config, const KeySpec& key, const RawValue& value);

// The value as it is written in TOML: quoted text, true, 64.
std::string toml_value(const BrokerConfig& config, const KeySpec& key);
// The value in words: "256 MiB", "on".
std::string plain_value(const BrokerConfig& config, const KeySpec& key);
// The bounds in words: "64 KiB to 4 GiB"; empty for free text.
std::string range_text(const KeySpec& key);

}  // namespace millrace
