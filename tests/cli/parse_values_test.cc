#include "client/cli/parse_values.h"

#include <catch2/catch.hpp>

namespace millrace::cli {
namespace {

using std::chrono::milliseconds;

TEST_CASE("durations have units, plain numbers are seconds") {
  CHECK(parse_duration("30s") == milliseconds(30'000));
  CHECK(parse_duration("500ms") == milliseconds(500));
  CHECK(parse_duration("2m") == milliseconds(120'000));
  CHECK(parse_duration("1h") == milliseconds(3'600'000));
  CHECK(parse_duration("5") == milliseconds(5'000));
  CHECK(parse_duration("0.5") == milliseconds(500));
  for (const char* bad : {"", "s", "-1s", "0", "1x", "1 week", "nan", "inf", "1e99"})
    CHECK_FALSE(parse_duration(bad));
}

TEST_CASE("counts, partitions and seconds are plain numbers in their bounds") {
  CHECK(parse_count("1") == 1u);
  CHECK(parse_count("18446744073709551615") == UINT64_MAX);
  for (const char* bad : {"", "0", "-1", "+1", "1.5", "x", "1x", " 1", "18446744073709551616"})
    CHECK_FALSE(parse_count(bad));
  CHECK(parse_partition("0") == 0u);
  CHECK(parse_partition("4294967295") == UINT32_MAX);
  for (const char* bad : {"", "-1", "1.5", "x", "4294967296"}) CHECK_FALSE(parse_partition(bad));
  CHECK(parse_offset("0") == 0u);
  CHECK(parse_offset("18446744073709551615") == UINT64_MAX);
  for (const char* bad : {"", "-1", "1.5", "x", "18446744073709551616"})
    CHECK_FALSE(parse_offset(bad));
  CHECK(parse_seconds("0.5") == 0.5);
  CHECK(parse_seconds("30") == 30.0);
  for (const char* bad : {"", "0", "-1", "x", "5s", "inf", "nan"}) CHECK_FALSE(parse_seconds(bad));
}

TEST_CASE("sizes have binary and decimal units") {
  CHECK(parse_bytes("4096") == 4096u);
  CHECK(parse_bytes("256KiB") == 262'144u);
  CHECK(parse_bytes("1 MiB") == 1'048'576u);
  CHECK(parse_bytes("10MB") == 10'000'000u);
  CHECK(parse_bytes("1.5K") == 1536u);
  for (const char* bad : {"", "KiB", "-1", "1.3", "1 XB"}) CHECK_FALSE(parse_bytes(bad));
}

TEST_CASE("speeds are max or a factor") {
  CHECK(parse_speed("max") == 0.0);
  CHECK(parse_speed("1x") == 1.0);
  CHECK(parse_speed("10x") == 10.0);
  CHECK(parse_speed("0.5x") == 0.5);
  for (const char* bad : {"", "x", "0x", "-1x", "fast"}) CHECK_FALSE(parse_speed(bad));
}

TEST_CASE("a topic may name one of its partitions") {
  CHECK(parse_topic_path("orders")->topic == "orders");
  CHECK_FALSE(parse_topic_path("orders")->partition);
  CHECK(parse_topic_path("orders/12")->partition == 12u);
  for (const char* bad :
       {"", "/1", "orders/", "orders/x", "orders/1/2", "orders/-1", "orders/99999999999"})
    CHECK_FALSE(parse_topic_path(bad));
}

}  // namespace
}  // namespace millrace::cli
