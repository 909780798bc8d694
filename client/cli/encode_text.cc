#include "encode_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace millrace::cli {
namespace {

using Byte = unsigned char;

// Length of the sequence that begins with `lead`, and what its second byte may be; 0: no such lead.
struct Sequence {
  std::size_t length = 0;
  Byte second_min = 0x80;
  Byte second_max = 0xBF;
};

Sequence sequence_of(Byte lead) {
  if (lead >= 0xC2 && lead <= 0xDF) return {2};
  if (lead == 0xE0) return {3, 0xA0};
  if (lead == 0xED) return {3, 0x80, 0x9F};
  if (lead >= 0xE1 && lead <= 0xEF) return {3};
  if (lead == 0xF0) return {4, 0x90};
  if (lead >= 0xF1 && lead <= 0xF3) return {4};
  if (lead == 0xF4) return {4, 0x80, 0x8F};
  return {};
}

bool is_plain(char c) {
  const auto byte = static_cast<Byte>(c);
  return byte >= 0x20 && byte != '"' && byte != '\\';
}

void append_escape(std::string& out, char c) {
  switch (c) {
    case '"': out += "\\\""; return;
    case '\\': out += "\\\\"; return;
    case '\n': out += "\\n"; return;
    case '\r': out += "\\r"; return;
    case '\t': out += "\\t"; return;
    case '\b': out += "\\b"; return;
    case '\f': out += "\\f"; return;
    default: out += fmt::format("\\u{:04x}", static_cast<unsigned>(static_cast<Byte>(c)));
  }
}

}  // namespace

bool is_utf8(std::string_view bytes) {
  std::size_t at = 0;
  while (at < bytes.size()) {
    // Eight bytes of ASCII at once: what most payloads are.
    while (bytes.size() - at >= 8) {
      std::uint64_t word = 0;
      std::memcpy(&word, bytes.data() + at, 8);
      if ((word & 0x8080808080808080ull) != 0) break;
      at += 8;
    }
    if (at == bytes.size()) return true;
    const auto lead = static_cast<Byte>(bytes[at]);
    if (lead < 0x80) {
      ++at;
      continue;
    }
    const Sequence sequence = sequence_of(lead);
    if (sequence.length == 0 || bytes.size() - at < sequence.length) return false;
    const auto second = static_cast<Byte>(bytes[at + 1]);
    if (second < sequence.second_min || second > sequence.second_max) return false;
    for (std::size_t i = 2; i < sequence.length; ++i) {
      if ((static_cast<Byte>(bytes[at + i]) & 0xC0) != 0x80) return false;
    }
    at += sequence.length;
  }
  return true;
}

void append_json_string(std::string& out, std::string_view utf8) {
  out += '"';
  std::size_t plain_from = 0;
  for (std::size_t i = 0; i < utf8.size(); ++i) {
    if (is_plain(utf8[i])) continue;
    out.append(utf8, plain_from, i - plain_from);
    append_escape(out, utf8[i]);
    plain_from = i + 1;
  }
  out.append(utf8, plain_from);
  out += '"';
}

void append_base64(std::string& out, std::string_view bytes) {
  static constexpr char digits[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    const std::size_t have = std::min<std::size_t>(3, bytes.size() - at);
    std::uint32_t group = 0;
    for (std::size_t i = 0; i < 3; ++i) {
      group <<= 8;
      if (i < have) group |= static_cast<Byte>(bytes[at + i]);
    }
    for (std::size_t i = 0; i < 4; ++i)
      out += i <= have ? digits[(group >> (18 - 6 * i)) & 63] : '=';
  }
}

}  // namespace millrace::cli
