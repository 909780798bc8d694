#include "millrace/where.h"

#include "errors.h"
#include "storage/base/ids.h"

#include <fmt/core.h>

#include <charconv>
#include <chrono>

namespace millrace {
namespace {

using detail::refuse;

constexpr std::int64_t second_ns = 1'000'000'000;
constexpr const char* allowed = "allowed are start, end, -10, 1234, @2026-09-01T12:00:00Z and @-2h";

// A number of nothing but digits that is at most `limit`.
std::optional<std::int64_t> parse_digits(std::string_view text, std::int64_t limit) {
  std::int64_t value = 0;
  if (text.empty() || text.front() < '0' || text.front() > '9') return std::nullopt;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value > limit)
    return std::nullopt;
  return value;
}

// Exactly `count` digits at the front of `text`, which is shortened by them.
std::optional<int> take_digits(std::string_view& text, std::size_t count) {
  if (text.size() < count) return std::nullopt;
  const auto value = parse_digits(text.substr(0, count), 9999);
  if (!value) return std::nullopt;
  text.remove_prefix(count);
  return static_cast<int>(*value);
}

bool take(std::string_view& text, std::string_view one_of) {
  if (text.empty() || one_of.find(text.front()) == std::string_view::npos) return false;
  text.remove_prefix(1);
  return true;
}

std::optional<std::int64_t> take_unit_ns(std::string_view& text) {
  struct Unit {
    std::string_view name;
    std::int64_t ns;
  };
  // "ms" stands before "m", which begins like it.
  static constexpr Unit units[] = {{"ms", 1'000'000},         {"s", second_ns},
                                   {"m", 60 * second_ns},     {"h", 3600 * second_ns},
                                   {"d", 86'400 * second_ns}, {"w", 7 * 86'400 * second_ns}};
  for (const Unit& unit : units) {
    if (text.substr(0, unit.name.size()) != unit.name) continue;
    text.remove_prefix(unit.name.size());
    return unit.ns;
  }
  return std::nullopt;
}

// "2h", "1h30m", "90s".
std::optional<std::int64_t> parse_span_ns(std::string_view text) {
  if (text.empty()) return std::nullopt;
  std::int64_t sum = 0;
  while (!text.empty()) {
    std::size_t digits = 0;
    while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') ++digits;
    const auto count = parse_digits(text.substr(0, digits), INT64_MAX);
    text.remove_prefix(digits);
    const auto unit = take_unit_ns(text);
    std::int64_t part = 0;
    if (!count || !unit || __builtin_mul_overflow(*count, *unit, &part) ||
        __builtin_add_overflow(sum, part, &sum))
      return std::nullopt;
  }
  return sum;
}

struct CivilTime {
  std::chrono::sys_days day;
  int second_of_day = 0;
};

// "2026-09-01T12:00:00", what comes before the fraction.
std::optional<CivilTime> take_civil(std::string_view& text) {
  const auto year = take_digits(text, 4);
  if (!year || !take(text, "-")) return std::nullopt;
  const auto month = take_digits(text, 2);
  if (!month || !take(text, "-")) return std::nullopt;
  const auto day = take_digits(text, 2);
  if (!day || !take(text, "Tt ")) return std::nullopt;
  const auto hour = take_digits(text, 2);
  if (!hour || *hour > 23 || !take(text, ":")) return std::nullopt;
  const auto minute = take_digits(text, 2);
  if (!minute || *minute > 59 || !take(text, ":")) return std::nullopt;
  const auto second = take_digits(text, 2);
  if (!second || *second > 60) return std::nullopt;  // 60: a leap second is the next second
  const std::chrono::year_month_day date{std::chrono::year{*year},
                                         std::chrono::month{static_cast<unsigned>(*month)},
                                         std::chrono::day{static_cast<unsigned>(*day)}};
  if (!date.ok()) return std::nullopt;
  return CivilTime{date, *hour * 3600 + *minute * 60 + *second};
}

// ".123", 1 to 9 digits, may be absent.
std::optional<std::int64_t> take_fraction_ns(std::string_view& text) {
  if (!take(text, ".")) return 0;
  std::int64_t ns = 0;
  std::size_t digits = 0;
  while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') {
    if (digits == 9) return std::nullopt;
    ns = ns * 10 + (text[digits++] - '0');
  }
  if (digits == 0) return std::nullopt;
  text.remove_prefix(digits);
  for (; digits < 9; ++digits) ns *= 10;
  return ns;
}

// "Z" or "+02:00": how far the clock is ahead of UTC.
std::optional<int> take_zone_seconds(std::string_view& text) {
  if (take(text, "Zz")) return 0;
  if (text.empty() || (text.front() != '+' && text.front() != '-')) return std::nullopt;
  const int sign = text.front() == '-' ? -1 : 1;
  text.remove_prefix(1);
  const auto hours = take_digits(text, 2);
  if (!hours || *hours > 23 || !take(text, ":")) return std::nullopt;
  const auto minutes = take_digits(text, 2);
  if (!minutes || *minutes > 59) return std::nullopt;
  return sign * (*hours * 3600 + *minutes * 60);
}

std::optional<std::int64_t> parse_time_ns(std::string_view text) {
  const auto civil = take_civil(text);
  if (!civil) return std::nullopt;
  const auto fraction = take_fraction_ns(text);
  const auto zone = take_zone_seconds(text);
  if (!fraction || !zone || !text.empty()) return std::nullopt;
  std::int64_t seconds =
      std::int64_t{civil->day.time_since_epoch().count()} * 86'400 + civil->second_of_day - *zone;
  std::int64_t fraction_ns = *fraction;
  // The fraction is taken off the next second: the first times of all lie within a second whose
  // beginning has no number.
  if (seconds < 0 && fraction_ns > 0) {
    seconds += 1;
    fraction_ns -= second_ns;
  }
  std::int64_t ns = 0;
  if (__builtin_mul_overflow(seconds, second_ns, &ns) ||
      __builtin_add_overflow(ns, fraction_ns, &ns))
    return std::nullopt;
  return ns;
}

std::optional<Place> parse_place(std::string_view text, std::int64_t now_ns) {
  if (text == "start") return Place::from_start();
  if (text == "end") return Place::from_end();
  const auto limit = static_cast<std::int64_t>(offset_max.value);
  if (text.starts_with("@-")) {
    const auto span = parse_span_ns(text.substr(2));
    std::int64_t ns = 0;
    if (!span || __builtin_sub_overflow(now_ns, *span, &ns)) return std::nullopt;
    return Place{Place::Kind::time, ns};
  }
  if (text.starts_with("@")) {
    const auto ns = parse_time_ns(text.substr(1));
    if (!ns) return std::nullopt;
    return Place{Place::Kind::time, *ns};
  }
  if (text.starts_with("-")) {
    const auto count = parse_digits(text.substr(1), limit);
    if (!count) return std::nullopt;
    return Place{Place::Kind::before_end, *count};
  }
  const auto offset = parse_digits(text, limit);
  if (!offset) return std::nullopt;
  return Place{Place::Kind::offset, *offset};
}

}  // namespace

Outcome<Place> Place::parse(std::string_view text, std::int64_t now_ns) {
  const auto place = parse_place(text, now_ns);
  if (!place) return refuse(Errc::bad_usage, fmt::format("'{}' is not a place; {}", text, allowed));
  return *place;
}

std::string Place::to_string() const {
  switch (kind) {
    case Kind::start: return "start";
    case Kind::end: return "end";
    case Kind::before_end: return fmt::format("-{}", value);
    case Kind::offset: return fmt::format("{}", value);
    case Kind::time: return "@" + format_time(value);
  }
  return "start";
}

bool PlaceRange::is_reversed() const {
  if (!end) return false;
  if (begin.kind == Place::Kind::end) return end->kind == Place::Kind::start;
  if (begin.kind != end->kind) return false;
  return begin.kind == Place::Kind::before_end ? begin.value < end->value
                                               : begin.value > end->value;
}

// A time has colons of its own, so every colon is tried as the one between the two sides; strict
// times on both sides leave at most one reading.
Outcome<PlaceRange> PlaceRange::parse(std::string_view text, std::int64_t now_ns) {
  for (std::size_t colon = text.find(':'); colon != std::string_view::npos;
       colon = text.find(':', colon + 1)) {
    const std::string_view begin_text = text.substr(0, colon);
    const std::string_view end_text = text.substr(colon + 1);
    PlaceRange range;
    if (!begin_text.empty()) {
      const auto begin = parse_place(begin_text, now_ns);
      if (!begin) continue;
      range.begin = *begin;
    }
    if (!end_text.empty()) {
      range.end = parse_place(end_text, now_ns);
      if (!range.end) continue;
    }
    return range;
  }
  return refuse(
      Errc::bad_usage,
      fmt::format("'{}' is not a range BEGIN:END; on each side {}, or nothing", text, allowed));
}

std::string format_time(std::int64_t ns) {
  namespace chrono = std::chrono;
  // Rounded down in seconds: in nanoseconds the first day of all begins before the first number.
  const std::int64_t rest = ns % second_ns;
  const std::int64_t fraction = rest < 0 ? rest + second_ns : rest;
  const chrono::sys_seconds second{chrono::seconds{ns / second_ns - (rest < 0 ? 1 : 0)}};
  const auto day = chrono::floor<chrono::days>(second);
  const chrono::year_month_day date{day};
  const chrono::hh_mm_ss clock{second - day};
  std::string out =
      fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", static_cast<int>(date.year()),
                  static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                  clock.hours().count(), clock.minutes().count(), clock.seconds().count());
  if (fraction % 1000 != 0) {
    out += fmt::format(".{:09}", fraction);
  } else if (fraction % 1'000'000 != 0) {
    out += fmt::format(".{:06}", fraction / 1000);
  } else if (fraction != 0) {
    out += fmt::format(".{:03}", fraction / 1'000'000);
  }
  return out + "Z";
}

Outcome<std::int64_t> parse_time(std::string_view rfc3339) {
  const auto ns = parse_time_ns(rfc3339);
  if (!ns)
    return refuse(
        Errc::bad_usage,
        fmt::format(
            "'{}' is not a time; write it like 2026-09-01T12:00:00Z or 2026-09-01T14:00:00+02:00",
            rfc3339));
  return *ns;
}

}  // namespace millrace
