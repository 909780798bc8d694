#include "json_field.h"

#include <array>
#include <cstdint>

namespace millrace::cli {
namespace {

// True for bytes that end a run of plain characters inside a string.
constexpr std::array<bool, 256> ends_run = [] {
  std::array<bool, 256> table{};
  for (std::size_t i = 0; i < 0x20; ++i) table[i] = true;
  table['"'] = table['\\'] = true;
  return table;
}();

bool is_digit(char c) { return c >= '0' && c <= '9'; }

int hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Four hex digits at `at`; -1: they are not.
int hex_unit(std::string_view text, std::size_t at) {
  if (text.size() < at + 4) return -1;
  int unit = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    const int digit = hex_digit(text[at + i]);
    if (digit < 0) return -1;
    unit = unit * 16 + digit;
  }
  return unit;
}

bool is_high_surrogate(int unit) { return unit >= 0xD800 && unit <= 0xDBFF; }
bool is_low_surrogate(int unit) { return unit >= 0xDC00 && unit <= 0xDFFF; }

void append_utf8(std::string& out, int code) {
  const auto put = [&out](int byte) { out += static_cast<char>(byte); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | (code >> 6));
    put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | (code >> 12));
    put(0x80 | ((code >> 6) & 0x3F));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | (code >> 18));
    put(0x80 | ((code >> 12) & 0x3F));
    put(0x80 | ((code >> 6) & 0x3F));
    put(0x80 | (code & 0x3F));
  }
}

char simple_escape(char c) {
  switch (c) {
    case 'b': return '\b';
    case 'f': return '\f';
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    default: return c;
  }
}

// `raw` was checked by scan_string.
void unescape_json(std::string_view raw, std::string& out) {
  out.clear();
  for (std::size_t i = 0; i < raw.size(); ++i) {
    if (raw[i] != '\\') {
      out += raw[i];
    } else if (raw[++i] != 'u') {
      out += simple_escape(raw[i]);
    } else {
      int code = hex_unit(raw, i + 1);
      i += 4;
      if (is_high_surrogate(code)) {
        code = 0x10000 + ((code - 0xD800) << 10) + (hex_unit(raw, i + 3) - 0xDC00);
        i += 6;
      }
      append_utf8(out, code);
    }
  }
}

}  // namespace

JsonFieldScanner::JsonFieldScanner(std::string_view path) {
  std::size_t begin = 0;
  for (std::size_t dot; (dot = path.find('.', begin)) != std::string_view::npos; begin = dot + 1)
    path_.emplace_back(path.substr(begin, dot - begin));
  path_.emplace_back(path.substr(begin));
}

FieldStatus JsonFieldScanner::scan(std::string_view json) {
  text_ = json;
  at_ = 0;
  status_ = FieldStatus::missing;
  skip_space();
  if (!scan_value(0, 0)) return FieldStatus::not_json;
  skip_space();
  return at_end() ? status_ : FieldStatus::not_json;
}

std::size_t JsonFieldScanner::error_column() const { return at_ + 1; }

bool JsonFieldScanner::scan_value(int level, int depth) {
  if (at_end() || depth > depth_max) return false;
  const bool wanted = level == static_cast<int>(path_.size());
  const std::size_t begin = at_;
  const char c = text_[at_];
  // A later field of the same name replaces what an earlier one gave, whatever it is.
  if (level > 0) status_ = wanted ? FieldStatus::not_plain : FieldStatus::missing;
  if (c == '{') return scan_object(wanted ? -1 : level, depth);
  if (c == '[') return scan_array(depth);
  if (c == 'n') return scan_word("null");
  if (c == '"') {
    std::string_view raw;
    if (!scan_string(raw)) return false;
    if (wanted) found_string(raw);
    return true;
  }
  const bool ok = c == 't' ? scan_word("true") : c == 'f' ? scan_word("false") : scan_number();
  if (ok && wanted) found_plain(text_.substr(begin, at_ - begin));
  return ok;
}

bool JsonFieldScanner::scan_object(int level, int depth) {
  take('{');
  skip_space();
  if (take('}')) return true;
  do {
    skip_space();
    std::string_view raw;
    if (!scan_string(raw)) return false;
    skip_space();
    if (!take(':')) return false;
    skip_space();
    const bool goes_down = level >= 0 && is_name(raw, path_[static_cast<std::size_t>(level)]);
    if (!scan_value(goes_down ? level + 1 : -1, depth + 1)) return false;
    skip_space();
  } while (take(','));
  return take('}');
}

bool JsonFieldScanner::scan_array(int depth) {
  take('[');
  skip_space();
  if (take(']')) return true;
  do {
    skip_space();
    if (!scan_value(-1, depth + 1)) return false;
    skip_space();
  } while (take(','));
  return take(']');
}

bool JsonFieldScanner::scan_string(std::string_view& raw) {
  if (!take('"')) return false;
  const std::size_t begin = at_;
  while (true) {
    while (!at_end() && !ends_run[static_cast<unsigned char>(text_[at_])]) ++at_;
    if (at_end()) return false;
    if (text_[at_] == '"') break;
    if (text_[at_] != '\\' || at_ + 1 == text_.size()) return false;
    const char escape = text_[at_ + 1];
    if (escape != 'u') {
      if (std::string_view("\"\\/bfnrt").find(escape) == std::string_view::npos) return false;
      at_ += 2;
      continue;
    }
    const int unit = hex_unit(text_, at_ + 2);
    if (unit < 0 || is_low_surrogate(unit)) return false;
    at_ += 6;
    if (!is_high_surrogate(unit)) continue;
    if (text_.substr(at_, 2) != "\\u" || !is_low_surrogate(hex_unit(text_, at_ + 2))) return false;
    at_ += 6;
  }
  raw = text_.substr(begin, at_ - begin);
  ++at_;
  return true;
}

bool JsonFieldScanner::scan_number() {
  const auto take_digits = [this] {
    const std::size_t begin = at_;
    while (!at_end() && is_digit(text_[at_])) ++at_;
    return at_ > begin;
  };
  take('-');
  if (!take('0') && !take_digits()) return false;
  if (take('.') && !take_digits()) return false;
  if (take('e') || take('E')) {
    if (!take('+')) take('-');
    return take_digits();
  }
  return true;
}

bool JsonFieldScanner::scan_word(std::string_view word) {
  if (text_.substr(at_, word.size()) != word) return false;
  at_ += word.size();
  return true;
}

void JsonFieldScanner::skip_space() {
  while (!at_end() &&
         (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r'))
    ++at_;
}

bool JsonFieldScanner::take(char c) {
  if (at_end() || text_[at_] != c) return false;
  ++at_;
  return true;
}

void JsonFieldScanner::found_plain(std::string_view text) {
  value_ = text;
  status_ = FieldStatus::found;
}

void JsonFieldScanner::found_string(std::string_view raw) {
  if (raw.find('\\') != std::string_view::npos) {
    unescape_json(raw, unescaped_);
    raw = unescaped_;
  }
  found_plain(raw);
}

bool JsonFieldScanner::is_name(std::string_view raw, const std::string& name) {
  if (raw.find('\\') == std::string_view::npos) return raw == name;
  unescape_json(raw, name_);
  return name_ == name;
}

}  // namespace millrace::cli
