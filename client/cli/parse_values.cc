#include "parse_values.h"

#include <charconv>
#include <cmath>

namespace millrace::cli {
namespace {

struct Unit {
  std::string_view name;
  double factor;
};

// A decimal number, then one of `units`; no unit counts as `plain`.
template <std::size_t count>
std::optional<double> parse_with_unit(std::string_view text, const Unit (&units)[count],
                                      double plain) {
  double number = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (error != std::errc{} || number < 0 || !std::isfinite(number)) return std::nullopt;
  auto unit = text.substr(static_cast<std::size_t>(end - text.data()));
  while (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
  if (unit.empty()) return number * plain;
  for (const Unit& known : units) {
    if (unit == known.name) return number * known.factor;
  }
  return std::nullopt;
}

template <class T>
std::optional<T> parse_digits(std::string_view text) {
  T number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

constexpr Unit time_units[] = {{"ms", 1}, {"s", 1e3}, {"m", 60e3}, {"h", 3600e3}};
constexpr Unit byte_units[] = {
    {"B", 1},         {"K", 1024},       {"KiB", 1024},       {"M", 1048576},
    {"MiB", 1048576}, {"G", 1073741824}, {"GiB", 1073741824}, {"KB", 1e3},
    {"kB", 1e3},      {"MB", 1e6},       {"GB", 1e9}};
constexpr Unit speed_units[] = {{"x", 1}};

}  // namespace

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
  const auto ms = parse_with_unit(text, time_units, 1e3);
  if (!ms || *ms < 1 || *ms > 1e12) return std::nullopt;
  return std::chrono::milliseconds(static_cast<std::int64_t>(*ms));
}

std::optional<double> parse_seconds(std::string_view text) {
  double number = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  if (number <= 0 || !std::isfinite(number)) return std::nullopt;
  return number;
}

std::optional<std::uint64_t> parse_count(std::string_view text) {
  const auto count = parse_digits<std::uint64_t>(text);
  return count && *count > 0 ? count : std::nullopt;
}

std::optional<std::uint32_t> parse_partition(std::string_view text) {
  return parse_digits<std::uint32_t>(text);
}

std::optional<std::uint64_t> parse_offset(std::string_view text) {
  return parse_digits<std::uint64_t>(text);
}

std::optional<std::uint64_t> parse_bytes(std::string_view text) {
  const auto bytes = parse_with_unit(text, byte_units, 1);
  if (!bytes || *bytes > 1e15 || std::floor(*bytes) != *bytes) return std::nullopt;
  return static_cast<std::uint64_t>(*bytes);
}

std::optional<double> parse_speed(std::string_view text) {
  if (text == "max") return 0.0;
  const auto factor = parse_with_unit(text, speed_units, 1);
  if (!factor || *factor <= 0) return std::nullopt;
  return factor;
}

std::optional<TopicPath> parse_topic_path(std::string_view text) {
  const auto slash = text.find('/');
  TopicPath path{std::string(text.substr(0, slash)), std::nullopt};
  if (path.topic.empty()) return std::nullopt;
  if (slash == std::string_view::npos) return path;
  path.partition = parse_partition(text.substr(slash + 1));
  if (!path.partition) return std::nullopt;
  return path;
}

}  // namespace millrace::cli
