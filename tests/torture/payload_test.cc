#include "tests/torture/payload.h"

#include <catch2/catch.hpp>

namespace millrace::torture {
namespace {

TEST_CASE("a payload tells its event, and no changed, cut or longer one tells any") {
  for (const std::size_t bytes : {0u, 32u, 33u, 47u, 100u}) {
    std::string payload;
    make_payload({7, 12}, bytes, payload);
    CHECK(payload.size() == std::max<std::size_t>(bytes, payload_bytes_min));
    const auto name = parse_payload(payload);
    REQUIRE(name);
    CHECK(name->session == 7);
    CHECK(name->number == 12);
    for (std::size_t i = 0; i < payload.size(); ++i) {
      std::string changed = payload;
      changed[i] = static_cast<char>(changed[i] ^ 1);
      CHECK_FALSE(parse_payload(changed));
      CHECK_FALSE(parse_payload(payload.substr(0, i)));
    }
    CHECK_FALSE(parse_payload(payload + '\0'));
  }
}

}  // namespace
}  // namespace millrace::torture
