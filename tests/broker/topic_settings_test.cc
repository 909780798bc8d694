#include "broker/meta/topic_settings.h"

#include <catch2/catch.hpp>

#include <fstream>
#include <iterator>

using namespace millrace;

namespace {

Result<ParsedTopicSettings> parse(std::vector<std::string_view> texts) {
  return parse_topic_settings(texts, default_topic_settings(BrokerOptions{}));
}

std::string refusal(std::vector<std::string_view> texts) {
  const auto parsed = parse(std::move(texts));
  REQUIRE_FALSE(parsed);
  CHECK(parsed.error().code == Errc::bad_setting);
  return parsed.error().text;
}

}  // namespace

TEST_CASE("settings override the defaults and are kept in one spelling") {
  const auto parsed = parse(
      {"retention_age=168 hours", "segment_bytes=1048576", "live=false", "retention_bytes=none"});
  REQUIRE(parsed);
  CHECK(parsed->settings.log.segment_bytes == MiB);
  CHECK(parsed->settings.log.retention_age == seconds(7 * 86'400));
  CHECK(parsed->settings.log.retention_bytes == 0);
  CHECK_FALSE(parsed->settings.live);
  CHECK(parsed->given == std::vector<std::string>{"live=false", "retention_age=7 days",
                                                  "retention_bytes=none", "segment_bytes=1 MiB"});
}

TEST_CASE("settings in force parse to what they were printed from") {
  const auto parsed = parse({"segment_age=none", "batch_bytes_max=64 KiB"});
  REQUIRE(parsed);
  const auto texts = topic_settings_text(parsed->settings);
  const auto again = parse({texts.begin(), texts.end()});
  REQUIRE(again);
  CHECK(topic_settings_text(again->settings) == texts);
  CHECK(again->given == texts);
}

TEST_CASE("an unknown setting names the nearest one") {
  CHECK(refusal({"retention_byte=1 GiB"}).find("'retention_bytes'") != std::string::npos);
  CHECK(refusal({"segmentage=1 day"}).find("'segment_age'") != std::string::npos);
}

TEST_CASE("an unknown setting that is like none names all there are") {
  const auto text = refusal({"colour=red"});
  CHECK(text.find("nearest") == std::string::npos);
  for (const auto& row : topic_setting_rows(default_topic_settings(BrokerOptions{})))
    CHECK(text.find(row.name) != std::string::npos);
}

TEST_CASE("a setting out of bounds names value and bounds") {
  const auto text = refusal({"segment_bytes=1 KiB"});
  CHECK(text.find("'1 KiB'") != std::string::npos);
  CHECK(text.find("64 KiB to ") != std::string::npos);
  refusal({"segment_bytes=none"});
  refusal({"batch_bytes_max=65 MiB"});
  refusal({"retention_age=0 s"});
  refusal({"live=yes"});
  refusal({"live"});
  refusal({""});
  refusal({"live=true", "live=false"});
  refusal(std::vector<std::string_view>(65, "live=true"));
}

TEST_CASE("the table of settings holds its own defaults") {
  const auto defaults = default_topic_settings(BrokerOptions{});
  for (const auto& row : topic_setting_rows(defaults)) {
    INFO(row.name);
    const std::string text = row.name + "=" + row.default_value;
    CHECK(parse({text}));
    CHECK_FALSE(row.meaning.empty());
  }
}

TEST_CASE("the table of topic settings on the operations page is that of the code") {
  std::ifstream file(MILLRACE_SOURCE_DIR "/docs/operations.md");
  const std::string page{std::istreambuf_iterator<char>(file), {}};
  for (const auto& row : topic_setting_rows(default_topic_settings(BrokerOptions{}))) {
    const std::string line = "| `" + row.name + "` | `" + row.default_value + "` | " + row.bounds +
                             " | " + row.meaning + " |\n";
    INFO(line);
    CHECK(page.find(line) != std::string::npos);
  }
}
