#include "broker/meta/topic_name.h"

#include <fmt/core.h>

namespace millrace {
namespace {

constexpr std::size_t shown_bytes_max = 80;
constexpr std::string_view advice =
    "; write 1 to 200 of A-Z a-z 0-9 . _ - with no dot at the front";
static_assert(topic_name_bytes_max == 200);

bool allowed(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-';
}

}  // namespace

Result<void> check_topic_name(std::string_view name) {
  const auto refuse = [](std::string why) {
    return fail(Errc::bad_topic_name, std::move(why.append(advice)));
  };
  if (name.empty()) return refuse("the topic name is empty");
  if (name.size() > topic_name_bytes_max) {
    return refuse(fmt::format("a topic name has at most {} characters, this one has {}",
                              topic_name_bytes_max, name.size()));
  }
  if (name.front() == '.') {
    return refuse("the topic name " + quoted(name) + " begins with a dot");
  }
  for (const char c : name) {
    if (allowed(c)) continue;
    return refuse(
        fmt::format("the topic name {} has the character {}", quoted(name), quoted({&c, 1})));
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
