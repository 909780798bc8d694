#include "broker/meta/setting_text.h"

#include "storage/base/random.h"

#include <catch2/catch.hpp>

using namespace millrace;

TEST_CASE("sizes are read in words, plain numbers are bytes") {
  CHECK(parse_size("256 MiB") == 256 * MiB);
  CHECK(parse_size("64KiB") == 64 * KiB);
  CHECK(parse_size(" 1GiB ") == GiB);
  CHECK(parse_size("1.5 GiB") == 1536 * MiB);
  CHECK(parse_size("2 GB") == 2'000'000'000u);
  CHECK(parse_size("5 kB") == 5000u);
  CHECK(parse_size("4096") == 4096u);
  CHECK(parse_size("0") == 0u);
  CHECK(parse_size("10 B") == 10u);
  CHECK(parse_size("9223372036854775807") == std::uint64_t{INT64_MAX});
}

TEST_CASE("what is no size is no size") {
  for (const char* text : {"", "MiB", "-1", "1 mebibyte", "12 parsecs", "1 MiB 2 KiB", "1e3",
                           "0x10", "99999999999999999999", "9223372036854775808", "9999999999 TiB",
                           "16777216.5 TiB", "1.2.3 MiB", ". MiB", "7 days"}) {
    INFO(text);
    CHECK_FALSE(parse_size(text));
  }
}

TEST_CASE("times are read in words and need a unit, but for 0") {
  CHECK(parse_duration("500 ms") == milliseconds(500));
  CHECK(parse_duration("30s") == seconds(30));
  CHECK(parse_duration("10 min") == seconds(600));
  CHECK(parse_duration("1 hour") == seconds(3'600));
  CHECK(parse_duration("1.5 h") == seconds(5'400));
  CHECK(parse_duration("1 day") == seconds(86'400));
  CHECK(parse_duration("7 days") == seconds(7 * 86'400));
  CHECK(parse_duration("2 weeks") == seconds(14 * 86'400));
  CHECK(parse_duration("0") == Duration{});
  for (const char* text : {"", "500", "days", "-1 s", "7 fortnights", "200000 weeks 1 s",
                           "1000000 weeks", "300000000000 days", "4 KiB"}) {
    INFO(text);
    CHECK_FALSE(parse_duration(text));
  }
}

TEST_CASE("a count is digits and nothing else") {
  CHECK(parse_count("0") == 0u);
  CHECK(parse_count("9223372036854775807") == std::uint64_t{INT64_MAX});
  for (const char* text : {"", " 1", "1 ", "+1", "-1", "1.0", "9223372036854775808"}) {
    INFO(text);
    CHECK_FALSE(parse_count(text));
  }
}

TEST_CASE("what is printed is read back as the same") {
  const std::uint64_t seed = 7;
  INFO("seed " << seed);
  Random random(seed);
  for (int i = 0; i < 2000; ++i) {
    const std::uint64_t bytes = (random.next() >> 2) >> random.below(60);
    CHECK(parse_size(size_text(bytes)) == bytes);
    const Duration time{static_cast<std::int64_t>((random.next() >> 2) >> random.below(60))};
    CHECK(parse_duration(duration_text(time)) == time);
  }
}

TEST_CASE("a value is printed in the largest unit that holds it whole") {
  CHECK(size_text(0) == "0");
  CHECK(size_text(256 * MiB) == "256 MiB");
  CHECK(size_text(1000) == "1000 B");
  CHECK(size_text(GiB + 1) == "1073741825 B");
  CHECK(duration_text(Duration{}) == "0");
  CHECK(duration_text(Duration{1}) == "1 ns");
  CHECK(duration_text(seconds(90)) == "90 s");
  CHECK(duration_text(seconds(600)) == "10 min");
  CHECK(duration_text(seconds(3'600)) == "1 hour");
  CHECK(duration_text(seconds(86'400)) == "1 day");
  CHECK(duration_text(seconds(7 * 86'400)) == "7 days");
}
