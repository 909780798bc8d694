#include "client/cli/event_format.h"

#include "schemas/batch_body.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace millrace::cli {
namespace {

struct Sample {
  std::vector<std::byte> headers;
  EventView view;

  explicit Sample(std::string_view key, std::string_view payload,
                  const std::vector<std::pair<std::string, std::string>>& fields = {}) {
    for (const auto& [name, value] : fields) encode_header(name, as_bytes(value), headers);
    view = {.topic = "orders",
            .partition = 3,
            .offset = 17,
            .time_ns = 1'788'264'000'250'000'000,
            .append_time_ns = 0,
            .key = key,
            .payload = payload,
            .raw_headers = as_text(headers)};
  }
};

std::string printed(std::string_view format, const Sample& sample) {
  const auto parsed = EventFormat::parse(format);
  REQUIRE(parsed.has_value());
  std::string out;
  parsed->append(out, sample.view);
  return out;
}

nlohmann::json json_of(const Sample& sample) {
  std::string out;
  EventFormat::json_lines().append(out, sample.view);
  REQUIRE(out.back() == '\n');
  REQUIRE(out.find('\n') == out.size() - 1);
  return nlohmann::json::parse(out);
}

TEST_CASE("every mark stands for its part") {
  const Sample sample("ada", "hello", {{"a", "1"}, {"b", "2"}});
  CHECK(printed("%t|%p|%o|%k|%v|%h|%T|%s", sample) ==
        "orders|3|17|ada|hello|a=1,b=2|2026-09-01T12:00:00.250Z|5");
  CHECK(printed("100%%\\n\\t\\\\x", sample) == "100%\n\t\\x");
  CHECK(printed("", sample).empty());
}

TEST_CASE("a mark that is not known is named") {
  for (const char* bad : {"%q", "%", "abc\\", "\\x"}) {
    const auto parsed = EventFormat::parse(bad);
    REQUIRE_FALSE(parsed.has_value());
    CHECK(parsed.error().name == "bad_usage");
  }
  CHECK(EventFormat::parse("%q").error().text.find("%q") != std::string::npos);
}

TEST_CASE("a JSON line has exactly the seven members") {
  const auto json = json_of(Sample("ada", "say \"hi\"\n", {{"a", "1"}}));
  CHECK(json == nlohmann::json({{"topic", "orders"},
                                {"partition", 3},
                                {"offset", 17},
                                {"time", "2026-09-01T12:00:00.250Z"},
                                {"key", "ada"},
                                {"headers", {{"a", "1"}}},
                                {"value", "say \"hi\"\n"}}));
}

TEST_CASE("an event without a key has null, without headers an empty object") {
  const auto json = json_of(Sample("", ""));
  CHECK(json["key"].is_null());
  CHECK(json["headers"] == nlohmann::json::object());
  CHECK(json["value"] == "");
}

TEST_CASE("bytes that are no text stand as base64 in place of the text") {
  const auto json =
      json_of(Sample("\xff", std::string_view("\x00\xfe", 2), {{"bin", "\xfd"}, {"text", "t"}}));
  CHECK_FALSE(json.contains("key"));
  CHECK_FALSE(json.contains("value"));
  CHECK(json["key_base64"] == "/w==");
  CHECK(json["headers"] == nlohmann::json({{"text", "t"}}));
  CHECK(json["headers_base64"] == nlohmann::json({{"bin", "/Q=="}}));
}

TEST_CASE("a header that comes twice keeps both values") {
  const auto json = json_of(Sample("", "", {{"a", "1"}, {"b", "x"}, {"a", "2"}}));
  CHECK(json["headers"] == nlohmann::json({{"a", {"1", "2"}}, {"b", "x"}}));
}

}  // namespace
}  // namespace millrace::cli
