#include "broker/meta/setting_text.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <span>

namespace millrace {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t value;
};

constexpr std::uint64_t us = 1'000, ms = 1'000 * us, s = 1'000 * ms, minute = 60 * s,
                        hour = 60 * minute, day = 24 * hour, week = 7 * day;
constexpr std::uint64_t value_max = INT64_MAX;

// The first ones are those that are printed, largest first.
constexpr std::size_t byte_units_printed = 5;
constexpr Unit byte_units[] = {
    {"TiB", 1024 * GiB},   {"GiB", GiB},      {"MiB", MiB},
    {"KiB", KiB},          {"B", 1},          {"TB", 1'000'000'000'000},
    {"GB", 1'000'000'000}, {"MB", 1'000'000}, {"KB", 1'000},
    {"kB", 1'000},         {"bytes", 1},      {"byte", 1},
};
constexpr std::size_t time_units_printed = 7;
constexpr Unit time_units[] = {
    {"days", day},       {"hours", hour},     {"min", minute}, {"s", s},
    {"ms", ms},          {"us", us},          {"ns", 1},       {"weeks", week},
    {"week", week},      {"day", day},        {"d", day},      {"hour", hour},
    {"h", hour},         {"minutes", minute}, {"m", minute},   {"minute", minute},
    {"seconds", s},      {"second", s},       {"sec", s},      {"milliseconds", ms},
    {"millisecond", ms},
};

std::string_view without_spaces_around(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

// An integer is exact; a fraction is rounded to a whole.
std::optional<std::uint64_t> times(std::string_view number, std::uint64_t unit) {
  if (const auto whole = parse_count(number)) {
    if (*whole > value_max / unit) return std::nullopt;
    return *whole * unit;
  }
  double value = 0;
  const auto parsed = std::from_chars(number.data(), number.data() + number.size(), value);
  if (parsed.ec != std::errc{} || parsed.ptr != number.data() + number.size()) return std::nullopt;
  value *= static_cast<double>(unit);
  if (!(value < static_cast<double>(value_max))) return std::nullopt;
  return static_cast<std::uint64_t>(std::llround(value));
}

// "NUMBER UNIT"; a number alone counts in `bare_unit`, unless that is 0.
std::optional<std::uint64_t> parse_with_unit(std::string_view text, std::span<const Unit> units,
                                             std::uint64_t bare_unit) {
  text = without_spaces_around(text);
  const std::size_t digits = std::min(text.find_first_not_of("0123456789."), text.size());
  const std::string_view number = text.substr(0, digits);
  const std::string_view name = without_spaces_around(text.substr(digits));
  if (number.empty()) return std::nullopt;
  if (name.empty()) {
    if (bare_unit == 0) return std::nullopt;
    return times(number, bare_unit);
  }
  const auto unit = std::find_if(units.begin(), units.end(),
                                 [&](const Unit& known) { return known.name == name; });
  if (unit == units.end()) return std::nullopt;
  return times(number, unit->value);
}

std::string text_with_unit(std::uint64_t value, std::span<const Unit> printed) {
  if (value == 0) return "0";
  const auto unit = std::find_if(printed.begin(), printed.end(),
                                 [&](const Unit& known) { return value % known.value == 0; });
  std::string_view name = unit->name;  // the last one is 1
  if (value == unit->value && (name == "days" || name == "hours")) name.remove_suffix(1);
  return fmt::format("{} {}", value / unit->value, name);
}

}  // namespace

std::optional<std::uint64_t> parse_size(std::string_view text) {
  return parse_with_unit(text, byte_units, 1);
}

std::string size_text(std::uint64_t bytes) {
  return text_with_unit(bytes, std::span(byte_units).first<byte_units_printed>());
}

std::optional<Duration> parse_duration(std::string_view text) {
  if (without_spaces_around(text) == "0") return Duration{};
  const auto ns = parse_with_unit(text, time_units, 0);
  if (!ns) return std::nullopt;
  return Duration{static_cast<std::int64_t>(*ns)};
}

std::string duration_text(Duration duration) {
  return text_with_unit(static_cast<std::uint64_t>(duration.ns),
                        std::span(time_units).first<time_units_printed>());
}

std::optional<std::uint64_t> parse_count(std::string_view text) {
  std::uint64_t value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || parsed.ec != std::errc{} || parsed.ptr != text.data() + text.size() ||
      value > value_max)
    return std::nullopt;
  return value;
}

}  // namespace millrace
