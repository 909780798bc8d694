#include "broker/meta/nearest_name.h"

#include <catch2/catch.hpp>

#include <string>

using namespace millrace;

TEST_CASE("a letter more, less or another is one step") {
  CHECK(edit_distance("live", "live") == 0);
  CHECK(edit_distance("live", "lives") == 1);
  CHECK(edit_distance("live", "lie") == 1);
  CHECK(edit_distance("live", "love") == 1);
  CHECK(edit_distance("lvie", "live") == 2);
  CHECK(edit_distance("", "live") == 4);
  CHECK(edit_distance("live", "") == 4);
}

TEST_CASE("a mistyped name is told its nearest, however long it is") {
  struct Named {
    std::string_view name;
  };
  const Named known[] = {{"segment_age"}, {"segment_bytes"}, {"live"}};
  CHECK(nearest_name("lvie", known) == "live");
  CHECK(nearest_name("segment_byte", known) == "segment_bytes");
  CHECK_FALSE(nearest_name(std::string(10'000'000, 'x'), known).empty());
}
