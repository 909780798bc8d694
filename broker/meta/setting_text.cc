#include "broker/meta/setting_text.h"

#include <fmt/core.h>

#include <charconv>
#include <limits>
#include <span>

namespace millrace {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t value;
};

// The first name of a value is the one that is printed.
constexpr Unit byte_units[] = {
    {"TiB", 1024 * GiB},   {"GiB", GiB},      {"MiB", MiB},
    {"KiB", KiB},          {"B", 1},          {"TB", 1'000'000'000'000},
    {"GB", 1'000'000'000}, {"MB", 1'000'000}, {"kB", 1'000},
    {"KB", 1'000},         {"bytes", 1},      {"byte", 1},
};

constexpr Unit time_units[] = {
    {"days", 86'400'000'000'000},
    {"hours", 3'600'000'000'000},
    {"minutes", 60'000'000'000},
    {"seconds", 1'000'000'000},
    {"ms", 1'000'000},
    {"us", 1'000},
    {"ns", 1},
    {"day", 86'400'000'000'000},
    {"d", 86'400'000'000'000},
    {"hour", 3'600'000'000'000},
    {"h", 3'600'000'000'000},
    {"minute", 60'000'000'000},
    {"min", 60'000'000'000},
    {"m", 60'000'000'000},
    {"second", 1'000'000'000},
    {"s", 1'000'000'000},
    {"milliseconds", 1'000'000},
    {"millisecond", 1'000'000},
};

std::string_view without_spaces_around(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

// Answers false for anything but a whole number and one of the units, and for what does not fit 63
// bits.
bool parse_with_units(std::string_view text, std::span<const Unit> units, std::uint64_t bare_unit,
                      std::uint64_t& out) {
  text = without_spaces_around(text);
  std::uint64_t number = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  if (parsed.ec != std::errc{}) return false;
  const auto name =
      without_spaces_around(text.substr(static_cast<std::size_t>(parsed.ptr - text.data())));
  std::uint64_t unit = name.empty() ? bare_unit : 0;
  for (const auto& candidate : units) {
    if (candidate.name == name) unit = candidate.value;
  }
  constexpr std::uint64_t largest = std::numeric_limits<std::int64_t>::max();
  if (unit == 0 || number > largest / unit) return false;
  out = number * unit;
  return true;
}

// The largest unit that divides the value.
std::string print_with_units(std::uint64_t value, std::span<const Unit> units) {
  for (const auto& unit : units) {
    if (value % unit.value != 0 || (value == 0 && unit.value != 1)) continue;
    const std::uint64_t count = value / unit.value;
    std::string_view name = unit.name;
    if (count == 1 && name.size() > 2 && name.back() == 's') name.remove_suffix(1);
    return fmt::format("{} {}", count, name);
  }
  return fmt::format("{}", value);
}

}  // namespace

Result<std::uint64_t> size_from_text(std::string_view text) {
  std::uint64_t bytes = 0;
  if (!parse_with_units(text, byte_units, 1, bytes)) {
    return fail(Errc::bad_setting, "not a size like \"256 MiB\", \"64 KiB\" or \"4096\"");
  }
  return bytes;
}

std::string size_text(std::uint64_t bytes) { return print_with_units(bytes, byte_units); }

Result<Duration> duration_from_text(std::string_view text) {
  std::uint64_t ns = 0;
  if (!parse_with_units(text, time_units, 0, ns)) {
    return fail(Errc::bad_setting, "not a time like \"7 days\", \"12 hours\" or \"30 s\"");
  }
  return Duration{static_cast<std::int64_t>(ns)};
}

std::string text_of_duration(Duration duration) {
  if (duration.ns == 0) return "0 seconds";
  return print_with_units(static_cast<std::uint64_t>(duration.ns), time_units);
}

}  // namespace millrace
