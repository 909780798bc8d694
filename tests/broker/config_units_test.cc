#include "broker/daemon/units_text.h"

#include <catch2/catch.hpp>

namespace millrace {
namespace {

TEST_CASE("sizes are read in words") {
  CHECK(parse_bytes("256 MiB") == 256 * MiB);
  CHECK(parse_bytes("64KiB") == 64 * KiB);
  CHECK(parse_bytes("1.5 GiB") == 1536 * MiB);
  CHECK(parse_bytes("2 GB") == 2'000'000'000u);
  CHECK(parse_bytes("4096") == 4096u);
  CHECK(parse_bytes("0") == 0u);
  CHECK(parse_bytes("10 B") == 10u);
}

TEST_CASE("what is no size is no size") {
  for (const char* text :
       {"", "MiB", "-1", "1 mebibyte", "1 MiB 2 KiB", "1e3", "0x10", "99999999999999999999",
        "16777216 TiB", "1.2.3 MiB", ". MiB", "7 days"}) {
    INFO(text);
    CHECK_FALSE(parse_bytes(text));
  }
}

TEST_CASE("times are read in words and need a unit") {
  CHECK(parse_duration("500 ms") == milliseconds(500));
  CHECK(parse_duration("7 days") == seconds(7 * 86'400));
  CHECK(parse_duration("1 day") == seconds(86'400));
  CHECK(parse_duration("1.5 h") == seconds(5'400));
  CHECK(parse_duration("0") == Duration{});
  CHECK_FALSE(parse_duration("500"));
  CHECK_FALSE(parse_duration("7 fortnights"));
  CHECK_FALSE(parse_duration("-1 s"));
  CHECK_FALSE(parse_duration("200000 weeks 1 s"));
  CHECK_FALSE(parse_duration("1000000 weeks"));
}

TEST_CASE("what is printed is read back as the same") {
  for (const std::uint64_t bytes :
       {std::uint64_t{0}, std::uint64_t{1}, 64 * KiB, 1000 * KiB, 4 * GiB - 4 * KiB, 1 * GiB + 1})
    CHECK(parse_bytes(bytes_text(bytes)) == bytes);
  CHECK(bytes_text(256 * MiB) == "256 MiB");
  for (const Duration duration :
       {Duration{}, Duration{1}, milliseconds(500), seconds(1), seconds(60), seconds(3'600),
        seconds(86'400), seconds(7 * 86'400), seconds(90)})
    CHECK(parse_duration(duration_text(duration)) == duration);
  CHECK(duration_text(seconds(7 * 86'400)) == "7 days");
  CHECK(duration_text(seconds(86'400)) == "1 day");
  CHECK(duration_text(seconds(90)) == "90 s");
}

}  // namespace
}  // namespace millrace
