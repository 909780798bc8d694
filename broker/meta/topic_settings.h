// A topic's settings: "key=value" texts that override the broker's defaults, checked, and what they
// come to.
//
// Pure. topic_setting_rows() is the one table of all settings: parsing, error texts, DescribeTopic
// and the documentation are made from it.
#pragma once

#include "broker/options.h"
#include "storage/base/result.h"
#include "storage/log_options.h"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace millrace {

struct TopicSettings {
  LogOptions log;
  bool live = true;  // durable batches go to the live feed
};

TopicSettings default_topic_settings(const BrokerOptions& options);

// One row per setting, for people.
struct TopicSettingRow {
  std::string name;
  std::string default_value;
  std::string bounds;
  std::string meaning;
};
std::vector<TopicSettingRow> topic_setting_rows(const TopicSettings& defaults);

// A checked set: `given` normalised ("key=value" by key, values as duration_text and size_text
// print them) and the settings they come to.
struct ParsedTopicSettings {
  TopicSettings settings;
  std::vector<std::string> given;
};

// Errors: bad_setting, naming the key, the value and what is allowed; for an unknown key the
// nearest one.
Result<ParsedTopicSettings> parse_topic_settings(std::span<const std::string_view> texts,
                                                 const TopicSettings& defaults);

// Whether what is given fits together and with the defaults, for a topic that is created now; one
// that stands keeps what it was given. Errors: bad_setting, in the words of the config.
Result<void> check_together(const ParsedTopicSettings& parsed);

// All settings in force, "key=value" in the order of the table.
std::vector<std::string> topic_settings_text(const TopicSettings& settings);

}  // namespace millrace
