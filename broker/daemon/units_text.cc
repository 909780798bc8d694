#include "broker/daemon/units_text.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <initializer_list>
#include <span>

namespace millrace {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t size;
};

constexpr std::uint64_t us = 1'000, ms = 1'000 * us, s = 1'000 * ms, minute = 60 * s,
                        hour = 60 * minute, day = 24 * hour;
constexpr std::uint64_t value_max = std::uint64_t{1} << 63;

// The first name of a size is the one that is printed.
constexpr Unit byte_units[] = {{"TiB", 1024 * GiB},   {"GiB", GiB},      {"MiB", MiB},
                               {"KiB", KiB},          {"B", 1},          {"TB", 1'000'000'000'000},
                               {"GB", 1'000'000'000}, {"MB", 1'000'000}, {"KB", 1'000},
                               {"kB", 1'000},         {"bytes", 1},      {"byte", 1}};
constexpr Unit time_units[] = {{"days", day},  {"hours", hour},     {"min", minute},
                               {"s", s},       {"ms", ms},          {"us", us},
                               {"ns", 1},      {"weeks", 7 * day},  {"week", 7 * day},
                               {"day", day},   {"d", day},          {"hour", hour},
                               {"h", hour},    {"minutes", minute}, {"minute", minute},
                               {"seconds", s}, {"second", s},       {"sec", s}};

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

// "NUMBER UNIT" as NUMBER x unit. An integer is exact; a fraction is rounded to a whole.
std::optional<std::uint64_t> parse_with_unit(std::string_view text, std::span<const Unit> units,
                                             bool unit_required) {
  text = trimmed(text);
  const std::size_t digits = std::min(text.find_first_not_of("0123456789."), text.size());
  const std::string_view number = text.substr(0, digits);
  const std::string_view unit_name = trimmed(text.substr(digits));
  if (number.empty()) return std::nullopt;
  std::uint64_t size = 1;
  if (unit_name.empty()) {
    if (unit_required && number != "0") return std::nullopt;
  } else {
    const auto unit = std::find_if(units.begin(), units.end(),
                                   [&](const Unit& u) { return u.name == unit_name; });
    if (unit == units.end()) return std::nullopt;
    size = unit->size;
  }
  if (auto whole = parse_count(number)) {
    if (*whole > value_max / size) return std::nullopt;
    return *whole * size;
  }
  double value = 0;
  const auto parsed = std::from_chars(number.data(), number.data() + number.size(), value);
  if (parsed.ec != std::errc{} || parsed.ptr != number.data() + number.size()) return std::nullopt;
  value *= static_cast<double>(size);
  if (!(value < static_cast<double>(value_max))) return std::nullopt;
  return static_cast<std::uint64_t>(std::llround(value));
}

// `printed`: how many of the units are used for printing, largest first.
std::string text_with_unit(std::uint64_t value, std::span<const Unit> units, std::size_t printed) {
  if (value == 0) return "0";
  for (const Unit& unit : units.first(printed)) {
    if (value % unit.size != 0) continue;
    std::string_view name = unit.name;
    if (value == unit.size && (name == "days" || name == "hours")) name.remove_suffix(1);
    return fmt::format("{} {}", value / unit.size, name);
  }
  return fmt::format("{}", value);
}

}  // namespace

std::optional<std::uint64_t> parse_count(std::string_view text) {
  std::uint64_t value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || parsed.ec != std::errc{} || parsed.ptr != text.data() + text.size() ||
      value > value_max)
    return std::nullopt;
  return value;
}

std::optional<std::uint64_t> parse_bytes(std::string_view text) {
  return parse_with_unit(text, byte_units, false);
}

std::string bytes_text(std::uint64_t bytes) { return text_with_unit(bytes, byte_units, 5); }

std::optional<Duration> parse_duration(std::string_view text) {
  const auto ns = parse_with_unit(text, time_units, true);
  if (!ns || *ns >= value_max) return std::nullopt;
  return Duration{static_cast<std::int64_t>(*ns)};
}

std::string duration_text(Duration duration) {
  return text_with_unit(static_cast<std::uint64_t>(duration.ns), time_units, 7);
}

}  // namespace millrace
