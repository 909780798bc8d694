// Finding one field of a JSON text, against a parser of whole documents.
//
// Input: a path, a newline, the text.
#include "client/cli/json_field.h"
#include "storage/base/check.h"
#include "tests/fuzz/fuzz.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <optional>

namespace millrace::fuzz {
namespace {

using cli::FieldStatus;
using cli::JsonFieldScanner;

int depth_of(std::string_view text) {
  int depth = 0, most = 0;
  for (const char c : text) {
    depth += c == '{' || c == '[' ? 1 : c == '}' || c == ']' ? -1 : 0;
    most = std::max(most, depth);
  }
  return most;
}

// What the whole document says; nothing: it is not JSON.
std::optional<std::pair<FieldStatus, std::string>> whole(std::string_view path,
                                                         std::string_view text) {
  nlohmann::json value = nlohmann::json::parse(text, nullptr, false);
  if (value.is_discarded()) return std::nullopt;
  while (true) {
    const std::size_t dot = path.find('.');
    if (!value.is_object()) return {{FieldStatus::missing, ""}};
    const auto found = value.find(std::string(path.substr(0, dot)));
    if (found == value.end()) return {{FieldStatus::missing, ""}};
    nlohmann::json inner = std::move(*found);
    value = std::move(inner);
    if (dot == std::string_view::npos) break;
    path = path.substr(dot + 1);
  }
  if (value.is_string()) return {{FieldStatus::found, value.get<std::string>()}};
  if (value.is_boolean()) return {{FieldStatus::found, value.get<bool>() ? "true" : "false"}};
  if (value.is_number()) return {{FieldStatus::found, "a number"}};
  return {{FieldStatus::not_plain, ""}};
}

void run(ByteView input) {
  const std::string all(as_text(input));
  const std::size_t split = all.find('\n');
  if (split == 0 || split == std::string::npos) return;
  const std::string path = all.substr(0, split), text = all.substr(split + 1);
  JsonFieldScanner scanner(path);
  const FieldStatus status = scanner.scan(text);
  if (status == FieldStatus::not_json)
    CHECK(scanner.error_column() <= text.size() + 1, "the place of an error is in the text");
  // These two differ on purpose: depth, bytes that are not UTF-8, a byte order mark, and zero, at
  // which the other stops reading.
  const bool plain = std::all_of(text.begin(), text.end(), [](char c) {
    return c != 0 && static_cast<unsigned char>(c) < 0x80;
  });
  if (!plain || depth_of(text) > JsonFieldScanner::depth_max) return;
  const auto expected = whole(path, text);
  if (!expected) {
    // A number too large to hold is no fault of its text.
    CHECK(status == FieldStatus::not_json || text.find_first_of("eE0123456789") != text.npos,
          "what is no JSON is refused");
    return;
  }
  CHECK(status == expected->first, "both find the same");
  if (status == FieldStatus::found && expected->second != "a number")
    CHECK(scanner.value() == expected->second, "both find the same value");
}

void mutate(Bytes& input, std::size_t bytes_max, Mutation& mutation) {
  static const char* const words[] = {"{",
                                      "}",
                                      "[",
                                      "]",
                                      ",",
                                      ":",
                                      "\"a\"",
                                      "\"a\":",
                                      "null",
                                      "true",
                                      "false",
                                      "-0",
                                      "1e5",
                                      "\"\\u00e9\"",
                                      "\"\\ud83d\\ude00\"",
                                      "\"a\":{\"b\":1}",
                                      " ",
                                      "0.5",
                                      "\\"};
  Random& random = mutation.random;
  if (random.chance(1, 2)) return mutation.change(input, bytes_max);
  const std::string_view word = words[random.below(std::size(words))];
  if (input.size() + word.size() > bytes_max) return;
  const ByteView bytes = as_bytes(word);
  input.insert(input.begin() + static_cast<std::ptrdiff_t>(random.below(input.size() + 1)),
               bytes.begin(), bytes.end());
}

std::vector<Seed> seeds() {
  std::vector<Seed> out;
  const auto add = [&](std::string name, std::string_view text) {
    out.push_back({std::move(name), copy_of(as_bytes(text))});
  };
  add("plain", "a\n{\"a\":\"x\",\"b\":[1,2,{\"a\":null}]}");
  add("down", "a.b\n{\"a\":{\"b\":1.5e3},\"c\":{\"a\":{}}}");
  add("twice", "a\n{\"a\":1,\"a\":{\"b\":2}}");
  add("escapes", "a\n{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00\"}");
  add("escaped-name", "a\n{\"\\u0061\":true}");
  add("broken", "a\n{\"a\":tru");
  return out;
}

const Register registered({"json_field", run, mutate, seeds});

}  // namespace
}  // namespace millrace::fuzz
