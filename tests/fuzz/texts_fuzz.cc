// Texts that people write: places, times, sizes, durations, formats of events, names of topics and
// paths. Whatever is accepted prints as something that is accepted and means the same.
//
// Input: u8 which of them, then the text.
#include "broker/meta/setting_text.h"
#include "broker/meta/topic_name.h"
#include "client/cli/encode_text.h"
#include "client/cli/event_format.h"
#include "client/cli/parse_values.h"
#include "millrace/where.h"
#include "storage/base/check.h"
#include "tests/fuzz/fuzz.h"

#include <nlohmann/json.hpp>

namespace millrace::fuzz {
namespace {

constexpr std::int64_t now_ns = 1'788'264'000'000'000'000;

void check_place(std::string_view text) {
  const auto place = Place::parse(text, now_ns);
  if (!place) return;
  const auto again = Place::parse(place->to_string(), now_ns);
  CHECK(again.has_value(), "a printed place is one");
  CHECK(again->kind == place->kind && again->value == place->value,
        "a printed place is the same place");
}

void check_range(std::string_view text) {
  const auto range = PlaceRange::parse(text, now_ns);
  if (!range) CHECK(!range.error().text.empty(), "an error says what is wrong");
}

void check_time(std::string_view text) {
  const auto time = parse_time(text);
  if (!time) return;
  const auto again = parse_time(format_time(*time));
  CHECK(again.has_value() && *again == *time, "a printed time is the same time");
}

void check_any_time(std::string_view text) {
  Input in(as_bytes(text));
  const auto ns = in.take<std::int64_t>();
  const auto again = parse_time(format_time(ns));
  CHECK(again.has_value() && *again == ns, "any time prints and parses");
}

void check_size(std::string_view text) {
  const auto bytes = parse_size(text);
  if (!bytes) return;
  const auto again = parse_size(size_text(*bytes));
  CHECK(again.has_value() && *again == *bytes, "a printed size is the same size");
}

void check_duration(std::string_view text) {
  const auto duration = parse_duration(text);
  if (!duration) return;
  const auto again = parse_duration(duration_text(*duration));
  CHECK(again.has_value() && again->ns == duration->ns, "a printed duration is the same duration");
}

void check_flag_values(std::string_view text) {
  if (const auto duration = cli::parse_duration(text))
    CHECK(duration->count() > 0, "a duration is more than nothing");
  static_cast<void>(cli::parse_bytes(text));
  if (const auto speed = cli::parse_speed(text)) CHECK(*speed >= 0, "time goes forward");
  if (const auto path = cli::parse_topic_path(text))
    CHECK(text.starts_with(path->topic), "a path begins with its topic");
}

void check_format(std::string_view text) {
  const std::size_t split = text.find('\n');
  const auto format = cli::EventFormat::parse(text.substr(0, split));
  EventView event;
  event.topic = "orders";
  event.partition = 3;
  event.offset = 42;
  event.time_ns = now_ns;
  event.payload = split == std::string_view::npos ? "" : text.substr(split + 1);
  event.key = event.payload.substr(0, 5);
  std::string out;
  if (format) format->append(out, event);
  out.clear();
  cli::EventFormat::json_lines().append(out, event);
  const auto line = nlohmann::json::parse(out, nullptr, false);
  CHECK(!line.is_discarded() && out.ends_with('\n'), "an event as JSON is JSON");
  const auto value = line.find("value");
  if (value != line.end())
    CHECK(value->get<std::string>() == event.payload, "a payload comes out as it is");
  CHECK(value != line.end() || line.contains("value_base64"), "a payload is there");
}

void check_name(std::string_view text) {
  const bool allowed =
      !text.empty() && text.size() <= 200 && !text.starts_with('.') &&
      text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
          std::string_view::npos;
  const auto checked = check_topic_name(text);
  CHECK(checked.has_value() == allowed, "a topic's name is what the page allows");
  if (checked) return;
  for (const char c : checked.error().text)
    CHECK(static_cast<unsigned char>(c) >= 0x20, "a strange name cannot break a line");
}

constexpr void (*checks[])(std::string_view) = {check_place,       check_range,  check_time,
                                                check_any_time,    check_size,   check_duration,
                                                check_flag_values, check_format, check_name};

void run(ByteView input) {
  if (input.empty()) return;
  const std::string text(as_text(input.subspan(1)));
  checks[static_cast<std::size_t>(input[0]) % std::size(checks)](text);
}

std::vector<Seed> seeds() {
  static const std::pair<std::uint8_t, const char*> texts[] = {
      {0, "start"},
      {0, "end"},
      {0, "-10"},
      {0, "1234"},
      {0, "@-2h"},
      {0, "@2026-09-01T12:00:00Z"},
      {1, "10:-5"},
      {2, "2026-09-01T12:00:00.001Z"},
      {2, "1969-12-31T23:59:59.999999999Z"},
      {3, "\1\2\3\4\5\6\7"},
      {4, "256 MiB"},
      {4, "10MB"},
      {5, "7 days"},
      {5, "500ms"},
      {6, "0.5"},
      {6, "10x"},
      {6, "orders/3"},
      {7, "%t %p %o %k %v %h %T %s %%\\n\npayload"},
      {8, "orders.v1_x-2"},
      {8, "..%2e/\n"}};
  std::vector<Seed> out;
  for (const auto& [which, text] : texts) {
    Bytes input;
    append(input, which);
    append_bytes(input, as_bytes(text));
    out.push_back({"text-" + std::to_string(out.size()), std::move(input)});
  }
  return out;
}

const Register registered({"texts", run, nullptr, seeds});

}  // namespace
}  // namespace millrace::fuzz
