#include "broker/meta/topic_name.h"

#include <fmt/core.h>

namespace millrace {
namespace {

constexpr std::size_t shown_bytes_max = 80;

bool allowed(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-';
}

}  // namespace

Result<void> check_topic_name(std::string_view name) {
  if (name.empty()) return fail(Errc::bad_topic_name, "a topic name has at least one character");
  if (name.size() > topic_name_bytes_max) {
    return fail(Errc::bad_topic_name,
                fmt::format("a topic name has at most {} characters, this one has {}",
                            topic_name_bytes_max, name.size()));
  }
  if (name.front() == '.') {
    return fail(Errc::bad_topic_name, "a topic name does not begin with a dot: " + quoted(name));
  }
  for (const char c : name) {
    if (allowed(c)) continue;
    return fail(Errc::bad_topic_name,
                fmt::format("{} has a character that is none of A-Z a-z 0-9 . _ -", quoted(name)));
  }
  return {};
}

std::string quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text.substr(0, shown_bytes_max)) {
    const bool plain = c >= ' ' && c <= '~' && c != '\'' && c != '\\';
    if (plain) {
      out += c;
    } else {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    }
  }
  out += text.size() > shown_bytes_max ? "...'" : "'";
  return out;
}

}  // namespace millrace
