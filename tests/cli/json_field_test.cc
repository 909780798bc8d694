#include "client/cli/json_field.h"

#include "storage/base/random.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace millrace::cli {
namespace {

using Json = nlohmann::json;

std::string found(std::string_view path, std::string_view json) {
  JsonFieldScanner scanner(path);
  REQUIRE(scanner.scan(json) == FieldStatus::found);
  return std::string(scanner.value());
}

FieldStatus status(std::string_view path, std::string_view json) {
  return JsonFieldScanner(path).scan(json);
}

TEST_CASE("a field is found, dots go down") {
  CHECK(found("id", R"({"id": "x7"})") == "x7");
  CHECK(found("user.id", R"( {"id":1,"user":{"x":[1,{"id":2}],"id":-1.5e3}} )") == "-1.5e3");
  CHECK(found("a.b.c", R"({"a":{"b":{"c":true}}})") == "true");
  CHECK(found("k", R"({"k":"caf\u00e9 \"q\" \ud83d\ude00 \/"})") ==
        "caf\xc3\xa9 \"q\" \xf0\x9f\x98\x80 /");
  CHECK(found("caf\xc3\xa9", R"({"caf\u00e9":1})") == "1");
}

TEST_CASE("of a name that comes twice the last one counts") {
  CHECK(found("a", R"({"a":1,"a":2})") == "2");
  CHECK(status("a.b", R"({"a":{"b":1},"a":{}})") == FieldStatus::missing);
  CHECK(status("a", R"({"a":1,"a":null})") == FieldStatus::not_plain);
}

TEST_CASE("a field that is not there, or no plain value, is told apart") {
  CHECK(status("a", R"({"b":1})") == FieldStatus::missing);
  CHECK(status("a.b", R"({"a":1})") == FieldStatus::missing);
  CHECK(status("a", "[1]") == FieldStatus::missing);
  CHECK(status("a", "7") == FieldStatus::missing);
  CHECK(status("a", R"({"x":{"a":1}})") == FieldStatus::missing);
  CHECK(status("a", R"({"a":{}})") == FieldStatus::not_plain);
  CHECK(status("a", R"({"a":[1]})") == FieldStatus::not_plain);
  CHECK(status("a", R"({"a":null})") == FieldStatus::not_plain);
}

TEST_CASE("text that is not JSON is refused, also behind the field") {
  for (const char* bad : {"",
                          " ",
                          "{",
                          R"({"a":1)",
                          R"({"a":1}x)",
                          R"({"a":01})",
                          R"({"a":+1})",
                          R"({"a":.5})",
                          R"({"a":1.})",
                          R"({"a":1e})",
                          R"({"a":tru})",
                          R"({"a":"x})",
                          R"({"a":"\x"})",
                          R"({"a":"\u12g4"})",
                          R"({"a":"\ud800"})",
                          R"({"a":"\udc00"})",
                          R"({"a":1,})",
                          R"({a:1})",
                          "{\"a\":\"\n\"}",
                          R"([1,])",
                          "nul",
                          R"({"a" 1})"}) {
    CAPTURE(bad);
    CHECK(status("a", bad) == FieldStatus::not_json);
    CHECK_FALSE(Json::accept(bad));
  }
}

TEST_CASE("nesting without end is refused, not followed") {
  CHECK(status("a", std::string(1'000'000, '[')) == FieldStatus::not_json);
  CHECK(status("a", std::string(100, '[') + std::string(100, ']')) == FieldStatus::missing);
}

// A value of few names and shapes, so that paths hit.
Json random_value(Random& random, int depth) {
  static const char* names[] = {"a", "b", "c", "d\"e", "\xc3\xa9"};
  switch (random.next() % (depth > 3 ? 5 : 7)) {
    case 0: return nullptr;
    case 1: return random.next() % 2 == 0;
    case 2: return static_cast<std::int64_t>(random.next());
    case 3: return static_cast<double>(random.next() % 100000) / 7.0;
    case 4: {
      std::string text;
      for (auto n = random.next() % 6; n > 0; --n) text += static_cast<char>(random.next() % 127);
      return text;
    }
    case 5: {
      Json array = Json::array();
      for (auto n = random.next() % 4; n > 0; --n) array.push_back(random_value(random, depth + 1));
      return array;
    }
    default: {
      Json object = Json::object();
      for (auto n = random.next() % 5; n > 0; --n)
        object[names[random.next() % std::size(names)]] = random_value(random, depth + 1);
      return object;
    }
  }
}

// The same question to a document.
FieldStatus ask_document(const Json& document, const std::vector<std::string>& path,
                         std::string& value) {
  const Json* at = &document;
  for (const std::string& name : path) {
    if (!at->is_object() || !at->contains(name)) return FieldStatus::missing;
    at = &(*at)[name];
  }
  if (at->is_null() || at->is_structured()) return FieldStatus::not_plain;
  value = at->is_string() ? at->get<std::string>() : at->dump();
  return FieldStatus::found;
}

TEST_CASE("random JSON is answered as a document answers it") {
  const std::uint64_t seed = 20261124;
  CAPTURE(seed);
  Random random(seed);
  int hits = 0;
  const std::vector<std::vector<std::string>> paths = {
      {"a"}, {"a", "b"}, {"b", "a", "c"}, {"d\"e"}, {"c", "\xc3\xa9"}};
  for (int round = 0; round < 20000; ++round) {
    const Json document = random_value(random, 0);
    const std::string text =
        document.dump(random.next() % 2 == 0 ? -1 : 1, ' ', random.next() % 2 == 0);
    const auto& path = paths[random.next() % paths.size()];
    std::string joined = path.front(), value;
    for (std::size_t i = 1; i < path.size(); ++i) joined += "." + path[i];
    CAPTURE(text, joined);
    const FieldStatus expected = ask_document(document, path, value);
    JsonFieldScanner scanner(joined);
    REQUIRE(scanner.scan(text) == expected);
    if (expected != FieldStatus::found) continue;
    ++hits;
    REQUIRE(scanner.value() == value);
  }
  CHECK(hits > 100);
}

TEST_CASE("JSON with one byte changed is accepted exactly where a document parser accepts it") {
  const std::uint64_t seed = 42;
  CAPTURE(seed);
  Random random(seed);
  JsonFieldScanner scanner("a");
  for (int round = 0; round < 20000; ++round) {
    std::string text = random_value(random, 0).dump();
    text[random.next() % text.size()] = "\"{}[],:\\u0+-. \n\x01x"[random.next() % 17];
    CAPTURE(text);
    // The other parser also refuses what is no UTF-8, which this one passes on.
    bool has_high = false;
    for (const char c : text) has_high |= static_cast<unsigned char>(c) > 127;
    if (has_high) continue;
    REQUIRE((scanner.scan(text) != FieldStatus::not_json) == Json::accept(text));
  }
}

}  // namespace
}  // namespace millrace::cli
