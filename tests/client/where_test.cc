#include "millrace/where.h"

#include <catch2/catch.hpp>

using millrace::Place;
using millrace::PlaceRange;

namespace {

constexpr std::int64_t second = 1'000'000'000;
constexpr std::int64_t now = 1'788'264'000 * second;  // 2026-09-01T12:00:00Z

Place parsed(const char* text) {
  const auto place = Place::parse(text, now);
  REQUIRE(place.has_value());
  return *place;
}

}  // namespace

TEST_CASE("places are read as people write them") {
  struct Row {
    const char* text;
    Place::Kind kind;
    std::int64_t value;
  };
  const Row rows[] = {
      {"start", Place::Kind::start, 0},
      {"end", Place::Kind::end, 0},
      {"-10", Place::Kind::before_end, 10},
      {"-0", Place::Kind::before_end, 0},
      {"0", Place::Kind::offset, 0},
      {"1234", Place::Kind::offset, 1234},
      {"4611686018427387903", Place::Kind::offset, 4611686018427387903},
      {"@2026-09-01T12:00:00Z", Place::Kind::time, now},
      {"@2026-09-01t12:00:00z", Place::Kind::time, now},
      {"@2026-09-01T14:00:00+02:00", Place::Kind::time, now},
      {"@2026-09-01T12:00:00.5Z", Place::Kind::time, now + second / 2},
      {"@2026-09-01T12:00:00.000000001Z", Place::Kind::time, now + 1},
      {"@-2h", Place::Kind::time, now - 7200 * second},
      {"@-90s", Place::Kind::time, now - 90 * second},
      {"@-3d", Place::Kind::time, now - 3 * 86400 * second},
      {"@-1h30m", Place::Kind::time, now - 5400 * second},
      {"@-250ms", Place::Kind::time, now - second / 4},
  };
  for (const Row& row : rows) {
    INFO(row.text);
    const Place place = parsed(row.text);
    CHECK(place.kind == row.kind);
    CHECK(place.value == row.value);
  }
}

TEST_CASE("what is not a place is refused with what is allowed") {
  for (const char* text : {"",
                           "-",
                           "--1",
                           "+1",
                           "1 ",
                           " 1",
                           "1a",
                           "starts",
                           "@",
                           "@-",
                           "@-2",
                           "@-2y",
                           "@-h",
                           "@2h",
                           "1.5",
                           "4611686018427387904",
                           "99999999999999999999",
                           "-99999999999999999999",
                           "@2026-13-01T00:00:00Z",
                           "@2026-02-30T00:00:00Z",
                           "@2026-09-01",
                           "@2026-09-01T24:00:00Z",
                           "@2026-09-01T12:00:00",
                           "@2026-09-01T12:00:00.Z",
                           "@2026-09-01T12:00:00.1234567890Z",
                           "@2026-09-01T12:00:00.99999999999999999999999999Z",
                           "@2026-09-01T12:00:00Zx",
                           "@9999-01-01T00:00:00Z",
                           "@-99999999999999999d"}) {
    INFO(text);
    const auto place = Place::parse(text, now);
    REQUIRE_FALSE(place.has_value());
    CHECK(place.error().name == "bad_usage");
    CHECK(place.error().text.find("allowed are") != std::string::npos);
  }
}

TEST_CASE("ranges split at the colon that is not a time's") {
  struct Row {
    const char* text;
    Place begin;
    bool has_end;
    Place end;
  };
  const Place t{Place::Kind::time, now};
  const Row rows[] = {
      {"10:20", Place::at(10), true, Place::at(20)},
      {":", Place::from_start(), false, {}},
      {":20", Place::from_start(), true, Place::at(20)},
      {"10:", Place::at(10), false, {}},
      {"-5:end", {Place::Kind::before_end, 5}, true, Place::from_end()},
      {"@2026-09-01T12:00:00Z:", t, false, {}},
      {":@2026-09-01T12:00:00Z", Place::from_start(), true, t},
      {"@2026-09-01T12:00:00Z:@2026-09-01T12:00:00Z", t, true, t},
      {"@2026-09-01T14:00:00+02:00:@2026-09-01T12:00:00Z", t, true, t},
  };
  for (const Row& row : rows) {
    INFO(row.text);
    const auto range = PlaceRange::parse(row.text, now);
    REQUIRE(range.has_value());
    CHECK(range->begin.kind == row.begin.kind);
    CHECK(range->begin.value == row.begin.value);
    REQUIRE(range->end.has_value() == row.has_end);
    CHECK((!row.has_end || range->end->value == row.end.value));
  }
  for (const char* text : {"", "10", "10:20:30", "a:b", "@2026-09-01T12:00:00Z"}) {
    INFO(text);
    CHECK_FALSE(PlaceRange::parse(text, now).has_value());
  }
}

TEST_CASE("a range that ends before it begins is told from one that may be empty") {
  for (const char* text : {"20:10", "-5:-10", "@2026-09-01T12:00:01Z:@2026-09-01T12:00:00Z",
                           "end:start", "@-1h:@-2h"}) {
    INFO(text);
    CHECK(PlaceRange::parse(text, now)->is_reversed());
  }
  for (const char* text : {"10:20", "10:10", "-10:-5", "@-2h:@-1h", "start:end", "start:start",
                           "end:end", "20:start", "end:10", "10:", ":10", ":", "-5:10"}) {
    INFO(text);
    CHECK_FALSE(PlaceRange::parse(text, now)->is_reversed());
  }
}

TEST_CASE("times are written with the digits they need and read back") {
  CHECK(millrace::format_time(now) == "2026-09-01T12:00:00Z");
  CHECK(millrace::format_time(now + 500'000'000) == "2026-09-01T12:00:00.500Z");
  CHECK(millrace::format_time(now + 1'000) == "2026-09-01T12:00:00.000001Z");
  CHECK(millrace::format_time(now + 1) == "2026-09-01T12:00:00.000000001Z");
  CHECK(millrace::format_time(0) == "1970-01-01T00:00:00Z");
  CHECK(millrace::format_time(-1) == "1969-12-31T23:59:59.999999999Z");
  for (const std::int64_t ns :
       {std::int64_t{0}, now, now + 123'456'789, std::int64_t{-5'000'000'000}, INT64_MAX, INT64_MIN,
        INT64_MIN + 1}) {
    const auto back = millrace::parse_time(millrace::format_time(ns));
    REQUIRE(back.has_value());
    CHECK(*back == ns);
  }
}

TEST_CASE("a place is written as it is read") {
  for (const char* text : {"start", "end", "-10", "1234", "@2026-09-01T12:00:00Z"})
    CHECK(parsed(text).to_string() == text);
}
