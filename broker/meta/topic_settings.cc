#include "broker/meta/topic_settings.h"

#include "broker/meta/setting_text.h"
#include "broker/meta/topic_name.h"
#include "storage/base/nearest_name.h"
#include "storage/format/segment_layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <vector>

namespace millrace {
namespace {

constexpr std::size_t settings_max = 64;
constexpr std::uint64_t segment_bytes_most = segment_layout::segment_bytes_limit - 4096;
constexpr Duration age_most = seconds(36'500ll * 86'400);

enum class Unit { bytes, time, flag };

// One setting: where its value lives, what it may be. A bool is 0 or 1, a time counts nanoseconds.
struct Setting {
  std::string_view name;
  Unit unit;
  std::uint64_t least, most;
  bool none_is_zero;  // "none" may be said, and means 0
  std::string_view meaning;
  std::uint64_t (*get)(const TopicSettings&);
  void (*set)(TopicSettings&, std::uint64_t);
};

template <auto Member>
std::uint64_t get_bytes(const TopicSettings& s) {
  return s.log.*Member;
}
template <auto Member>
void set_bytes(TopicSettings& s, std::uint64_t value) {
  using Field = std::remove_reference_t<decltype(s.log.*Member)>;
  s.log.*Member = static_cast<Field>(value);
}
template <auto Member>
std::uint64_t get_time(const TopicSettings& s) {
  return static_cast<std::uint64_t>((s.log.*Member).ns);
}
template <auto Member>
void set_time(TopicSettings& s, std::uint64_t value) {
  s.log.*Member = Duration{static_cast<std::int64_t>(value)};
}

constexpr auto ns(Duration d) { return static_cast<std::uint64_t>(d.ns); }

// In the order in which they are shown.
constexpr Setting settings_table[] = {
    {"batch_bytes_max", Unit::bytes, 1 * KiB, batch_layout::body_bytes_limit, false,
     "Largest batch (header and body) that is accepted, and so the largest event: a payload of up "
     "to 276 bytes less.",
     get_bytes<&LogOptions::batch_bytes_max>, set_bytes<&LogOptions::batch_bytes_max>},
    {"index_interval_bytes", Unit::bytes, 4 * KiB, 16 * MiB, false,
     "One sparse index entry for about this many bytes of batches.",
     get_bytes<&LogOptions::index_interval_bytes>, set_bytes<&LogOptions::index_interval_bytes>},
    {"live", Unit::flag, 0, 1, false,
     "Whether durable batches are also published on the live feed.",
     [](const TopicSettings& s) -> std::uint64_t { return s.live ? 1 : 0; },
     [](TopicSettings& s, std::uint64_t value) { s.live = value != 0; }},
    {"retention_age", Unit::time, ns(seconds(1)), ns(age_most), true,
     "Segments that were sealed longer ago than this are removed; none keeps them.",
     get_time<&LogOptions::retention_age>, set_time<&LogOptions::retention_age>},
    {"retention_bytes", Unit::bytes, 64 * KiB, std::uint64_t{1} << 60, true,
     "The oldest sealed segments of a partition are removed while it is larger; none: no limit.",
     get_bytes<&LogOptions::retention_bytes>, set_bytes<&LogOptions::retention_bytes>},
    {"segment_age", Unit::time, ns(seconds(1)), ns(age_most), true,
     "A segment is sealed when its first batch is older than this; none: by size alone.",
     get_time<&LogOptions::segment_age>, set_time<&LogOptions::segment_age>},
    {"segment_bytes", Unit::bytes, 64 * KiB, segment_bytes_most, false,
     "A segment is sealed before a batch would make it larger than this.",
     get_bytes<&LogOptions::segment_bytes>, set_bytes<&LogOptions::segment_bytes>},
    {"tail_cache_bytes", Unit::bytes, 64 * KiB, 4 * GiB, false,
     "Newest bytes of a partition kept in memory for readers, within the broker's cache memory.",
     get_bytes<&LogOptions::tail_cache_bytes>, set_bytes<&LogOptions::tail_cache_bytes>},
};

std::string value_text(const Setting& setting, std::uint64_t value) {
  if (setting.none_is_zero && value == 0) return "none";
  switch (setting.unit) {
    case Unit::bytes: return size_text(value);
    case Unit::time: return duration_text(Duration{static_cast<std::int64_t>(value)});
    case Unit::flag: return value != 0 ? "true" : "false";
  }
  return {};
}

std::string bounds_text(const Setting& setting) {
  if (setting.unit == Unit::flag) return "true or false";
  return fmt::format("{} to {}{}", value_text(setting, setting.least),
                     value_text(setting, setting.most), setting.none_is_zero ? ", or none" : "");
}

Result<std::uint64_t> parse_value(const Setting& setting, std::string_view text) {
  if (setting.none_is_zero && text == "none") return 0;
  switch (setting.unit) {
    case Unit::bytes:
      if (const auto bytes = parse_size(text)) return *bytes;
      return fail(Errc::bad_setting, "not a size like \"256 MiB\", \"64 KiB\" or \"4096\"");
    case Unit::time:
      if (const auto time = parse_duration(text)) return static_cast<std::uint64_t>(time->ns);
      return fail(Errc::bad_setting, "not a time like \"7 days\", \"12 hours\" or \"30 s\"");
    case Unit::flag:
      if (text == "true") return 1;
      if (text == "false") return 0;
      return fail(Errc::bad_setting, "neither true nor false");
  }
  return fail(Errc::bad_setting);
}

const Setting* find_setting(std::string_view key) {
  for (const auto& setting : settings_table) {
    if (setting.name == key) return &setting;
  }
  return nullptr;
}

Error unknown_key(std::string_view key) {
  std::vector<std::string_view> names;
  for (const auto& setting : settings_table) names.push_back(setting.name);
  const auto nearest = nearest_name(key, names);
  return {Errc::bad_setting,
          fmt::format("there is no topic setting {}; {}", quoted(key),
                      nearest ? fmt::format("the nearest is '{}'", *nearest)
                              : fmt::format("there are {}", fmt::join(names, ", ")))};
}

Result<std::uint64_t> checked_value(const Setting& setting, std::string_view text) {
  const auto value = parse_value(setting, text);
  if (!value) {
    return fail(Errc::bad_setting,
                fmt::format("{}={} is {}; allowed is {}", setting.name, quoted(text),
                            value.error().text, bounds_text(setting)));
  }
  const bool none = setting.none_is_zero && text == "none";
  if (!none && (*value < setting.least || *value > setting.most)) {
    return fail(Errc::bad_setting, fmt::format("{}={} is out of bounds; allowed is {}",
                                               setting.name, quoted(text), bounds_text(setting)));
  }
  return *value;
}

}  // namespace

TopicSettings default_topic_settings(const BrokerOptions& options) {
  return {options.topic_defaults, options.live_by_default};
}

std::vector<TopicSettingRow> topic_setting_rows(const TopicSettings& defaults) {
  std::vector<TopicSettingRow> rows;
  for (const auto& setting : settings_table) {
    rows.push_back({std::string(setting.name), value_text(setting, setting.get(defaults)),
                    bounds_text(setting), std::string(setting.meaning)});
  }
  return rows;
}

Result<ParsedTopicSettings> parse_topic_settings(std::span<const std::string_view> texts,
                                                 const TopicSettings& defaults) {
  if (texts.size() > settings_max) {
    return fail(Errc::bad_setting, fmt::format("at most {} settings may be given, these are {}",
                                               settings_max, texts.size()));
  }
  ParsedTopicSettings parsed{defaults, {}};
  std::map<std::string_view, std::string> given;
  for (const auto text : texts) {
    const auto equals = text.find('=');
    if (equals == std::string_view::npos) {
      return fail(Errc::bad_setting, fmt::format("{} is not key=value", quoted(text)));
    }
    const auto key = text.substr(0, equals);
    const Setting* setting = find_setting(key);
    if (setting == nullptr) return fail(unknown_key(key));
    const auto value = checked_value(*setting, text.substr(equals + 1));
    if (!value) return fail(value.error());
    setting->set(parsed.settings, *value);
    const auto printed = fmt::format("{}={}", setting->name, value_text(*setting, *value));
    if (!given.emplace(setting->name, printed).second) {
      return fail(Errc::bad_setting, fmt::format("{} is given twice", setting->name));
    }
  }
  for (auto& [key, text] : given) parsed.given.push_back(std::move(text));
  return parsed;
}

Result<void> check_together(const ParsedTopicSettings& parsed) {
  const auto is_given = [&](std::string_view key) {
    return std::any_of(parsed.given.begin(), parsed.given.end(), [key](std::string_view text) {
      return text.substr(0, text.find('=')) == key;
    });
  };
  const LogOptions& log = parsed.settings.log;
  const bool is_defaults = !is_given("batch_bytes_max") && !is_given("segment_bytes");
  if (is_defaults || log.batch_bytes_max <= log.segment_bytes) return {};
  return fail(Errc::bad_setting,
              fmt::format("batch_bytes_max = {} must not be above segment_bytes = {}; set both",
                          size_text(log.batch_bytes_max), size_text(log.segment_bytes)));
}

std::vector<std::string> topic_settings_text(const TopicSettings& settings) {
  std::vector<std::string> texts;
  for (const auto& setting : settings_table) {
    texts.push_back(fmt::format("{}={}", setting.name, value_text(setting, setting.get(settings))));
  }
  return texts;
}

}  // namespace millrace
