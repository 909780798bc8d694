#include "client/cli/encode_text.h"

#include "storage/base/random.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace millrace::cli {
namespace {

std::string json_of(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

std::string base64_of(std::string_view bytes) {
  std::string out;
  append_base64(out, bytes);
  return out;
}

// What another parser thinks of the bytes.
bool nlohmann_takes(const std::string& bytes) {
  try {
    (void)nlohmann::json(bytes).dump();
    return true;
  } catch (const nlohmann::json::exception&) {
    return false;
  }
}

TEST_CASE("base64 agrees with RFC 4648") {
  CHECK(base64_of("") == "");
  CHECK(base64_of("f") == "Zg==");
  CHECK(base64_of("fo") == "Zm8=");
  CHECK(base64_of("foo") == "Zm9v");
  CHECK(base64_of("foobar") == "Zm9vYmFy");
  CHECK(base64_of("\xff\xfe\xfd") == "//79");
}

TEST_CASE("text comes back from its JSON string") {
  const std::string all = [] {
    std::string text = "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80";
    for (char c = 0; c < 127; ++c) text += c;
    return text;
  }();
  CHECK(nlohmann::json::parse(json_of(all)).get<std::string>() == all);
  CHECK(json_of("") == "\"\"");
  CHECK(json_of("a\"b\\c\nd\x01") == "\"a\\\"b\\\\c\\nd\\u0001\"");
}

TEST_CASE("known bad UTF-8 is refused") {
  for (const char* bad :
       {"\x80", "\xc3", "\xc0\xaf", "\xe0\x80\x80", "\xed\xa0\x80", "\xf0\x80\x80\x80",
        "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "abcdefgh\xff", "abcdefghi\xe2\x82"})
    CHECK_FALSE(is_utf8(bad));
  CHECK(is_utf8(std::string_view("\0ok", 3)));
}

TEST_CASE("random bytes are UTF-8 exactly where another parser says so") {
  const std::uint64_t seed = 0x5eed;
  CAPTURE(seed);
  Random random(seed);
  int valid = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string bytes;
    const auto count = random.next() % 12;
    for (std::uint64_t i = 0; i < count; ++i) {
      static constexpr unsigned char often[] = {'a',  0x80, 0xBF, 0xC3, 0xE2, 0xED,
                                                0xF0, 0xF4, 0x9F, 0xA0, 0x90, 0xE0};
      bytes += static_cast<char>(often[random.next() % std::size(often)]);
    }
    CAPTURE(bytes);
    REQUIRE(is_utf8(bytes) == nlohmann_takes(bytes));
    valid += is_utf8(bytes) ? 1 : 0;
  }
  CHECK(valid > 100);
}

}  // namespace
}  // namespace millrace::cli
