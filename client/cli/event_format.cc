#include "event_format.h"

#include "encode_text.h"
#include "millrace/where.h"

#include <fmt/format.h>

#include <iterator>
#include <map>
#include <optional>

namespace millrace::cli {
namespace {

std::unexpected<ClientError> bad_format(std::string text) {
  ClientError error;
  error.code = 91;
  error.name = "bad_usage";
  error.text = std::move(text);
  return std::unexpected<ClientError>(std::move(error));
}

std::optional<char> unescaped(char c) {
  switch (c) {
    case 'n': return '\n';
    case 't': return '\t';
    case 'r': return '\r';
    case '0': return '\0';
    case '\\': return '\\';
    default: return std::nullopt;
  }
}

void append_headers(std::string& out, const EventView& event) {
  if (event.raw_headers.empty()) return;
  bool first = true;
  for (const HeaderField& field : event.headers()) {
    if (!first) out += ',';
    first = false;
    out += field.name;
    out += '=';
    out += field.value;
  }
}

// "name":"value" or, when the bytes are no text, "name_base64":"...".
void append_bytes_member(std::string& out, std::string_view name, std::string_view bytes) {
  if (is_utf8(bytes)) {
    fmt::format_to(std::back_inserter(out), "\"{}\":", name);
    append_json_string(out, bytes);
    return;
  }
  fmt::format_to(std::back_inserter(out), "\"{}_base64\":\"", name);
  append_base64(out, bytes);
  out += '"';
}

// A header name that is no text is shown byte for byte as Latin-1, so that it is still JSON.
std::string text_name(const std::string& name) {
  if (is_utf8(name)) return name;
  std::string out;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) {
      out += c;
    } else {
      out += static_cast<char>(0xC0 | (byte >> 6));
      out += static_cast<char>(0x80 | (byte & 0x3F));
    }
  }
  return out;
}

using Values = std::vector<std::string>;  // JSON strings, quotes included
using NamedValues = std::vector<std::pair<std::string, Values>>;

void add_value(NamedValues& all, std::string name, std::string value) {
  for (auto& [known, values] : all) {
    if (known == name) return values.push_back(std::move(value));
  }
  all.emplace_back(std::move(name), Values{std::move(value)});
}

void append_object(std::string& out, const NamedValues& all) {
  out += '{';
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto& [name, values] = all[i];
    if (i > 0) out += ',';
    append_json_string(out, name);
    out += ':';
    if (values.size() > 1) out += '[';
    for (std::size_t j = 0; j < values.size(); ++j) {
      if (j > 0) out += ',';
      out += values[j];
    }
    if (values.size() > 1) out += ']';
  }
  out += '}';
}

void append_json_headers(std::string& out, const EventView& event) {
  if (event.raw_headers.empty()) {
    out += "\"headers\":{}";
    return;
  }
  NamedValues texts, binaries;
  for (const HeaderField& field : event.headers()) {
    std::string value;
    if (is_utf8(field.value)) {
      append_json_string(value, field.value);
      add_value(texts, text_name(field.name), std::move(value));
    } else {
      value += '"';
      append_base64(value, field.value);
      value += '"';
      add_value(binaries, text_name(field.name), std::move(value));
    }
  }
  out += "\"headers\":";
  append_object(out, texts);
  if (binaries.empty()) return;
  out += ",\"headers_base64\":";
  append_object(out, binaries);
}

void append_json(std::string& out, const EventView& event) {
  out += "{\"topic\":";
  append_json_string(out, event.topic);
  fmt::format_to(std::back_inserter(out), ",\"partition\":{},\"offset\":{},\"time\":\"{}\",",
                 event.partition, event.offset, format_time(event.time_ns));
  if (event.key.empty()) {
    out += "\"key\":null";
  } else {
    append_bytes_member(out, "key", event.key);
  }
  out += ',';
  append_json_headers(out, event);
  out += ',';
  append_bytes_member(out, "value", event.payload);
  out += "}\n";
}

}  // namespace

bool unescape(std::string_view text, std::string& out) {
  out.clear();
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out += text[i];
      continue;
    }
    if (++i == text.size()) return false;
    const auto c = unescaped(text[i]);
    if (!c) return false;
    out += *c;
  }
  return true;
}

Outcome<EventFormat> EventFormat::parse(std::string_view format) {
  static const std::map<char, Part> marks = {
      {'t', Part::topic},   {'p', Part::partition}, {'o', Part::offset}, {'k', Part::key},
      {'v', Part::payload}, {'h', Part::headers},   {'T', Part::time},   {'s', Part::size}};
  EventFormat out;
  const auto add_text = [&out](char c) {
    if (out.pieces_.empty() || out.pieces_.back().part != Part::text)
      out.pieces_.push_back({Part::text, {}});
    out.pieces_.back().text += c;
  };
  for (std::size_t i = 0; i < format.size(); ++i) {
    const char c = format[i];
    if (c != '%' && c != '\\') {
      add_text(c);
      continue;
    }
    if (++i == format.size())
      return bad_format(fmt::format("the format ends with a lone {0}; write {0}{0} for one", c));
    const char mark = format[i];
    if (c == '\\') {
      const auto plain = unescaped(mark);
      if (!plain)
        return bad_format(
            fmt::format("unknown mark \\{} in the format; allowed are \\n \\t \\r \\0 \\\\", mark));
      add_text(*plain);
    } else if (mark == '%') {
      add_text('%');
    } else if (const auto known = marks.find(mark); known != marks.end()) {
      out.pieces_.push_back({known->second, {}});
    } else {
      return bad_format(fmt::format(
          "unknown mark %{} in the format; allowed are %t %p %o %k %v %h %T %s %%", mark));
    }
  }
  return out;
}

EventFormat EventFormat::json_lines() {
  EventFormat out;
  out.json_ = true;
  return out;
}

void EventFormat::append(std::string& out, const EventView& event) const {
  if (json_) return append_json(out, event);
  for (const Piece& piece : pieces_) {
    switch (piece.part) {
      case Part::text: out += piece.text; break;
      case Part::topic: out += event.topic; break;
      case Part::partition: out += fmt::format_int(event.partition).str(); break;
      case Part::offset: out += fmt::format_int(event.offset).str(); break;
      case Part::key: out += event.key; break;
      case Part::payload: out += event.payload; break;
      case Part::headers: append_headers(out, event); break;
      case Part::time: out += format_time(event.time_ns); break;
      case Part::size: out += fmt::format_int(event.payload.size()).str(); break;
    }
  }
}

}  // namespace millrace::cli
