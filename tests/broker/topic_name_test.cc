#include "broker/meta/topic_name.h"

#include <catch2/catch.hpp>

using namespace millrace;

TEST_CASE("PR-22: topic names that are allowed") {
  for (const auto* name : {"orders", "a", "A.b_c-9", "0", "_x", "-", "orders.v1", "ends.with."}) {
    INFO(name);
    CHECK(check_topic_name(name));
  }
  CHECK(check_topic_name(std::string(200, 'n')));
}

TEST_CASE("PR-22: topic names that are refused") {
  using namespace std::string_view_literals;
  for (const auto name : {""sv, "."sv, ".."sv, ".hidden"sv, "a/b"sv, "../x"sv, "a\0b"sv, "a\n"sv,
                          "%2e%2e"sv, "a b"sv, "\xd0\xb0orders"sv, "a\\b"sv, "orders:1"sv, "*"sv}) {
    INFO(quoted(name));
    const auto checked = check_topic_name(name);
    REQUIRE_FALSE(checked);
    CHECK(checked.error().code == Errc::bad_topic_name);
    CHECK(checked.error().text.find("; write 1 to 200 of A-Z a-z 0-9 . _ -") != std::string::npos);
  }
  CHECK_FALSE(check_topic_name(std::string(201, 'n')));
}

TEST_CASE("text from the network is shown without control characters and not at any length") {
  CHECK(quoted("a\nb\x1b[0m") == "'a\\x0ab\\x1b[0m'");
  CHECK(millrace::quoted(std::string(10'000, 'x')).size() < 100);
}
