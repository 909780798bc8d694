// Finds one field of a JSON text without building a document: the whole text is checked (RFC 8259),
// only the asked value is kept.
//
//   {"user": {"id": 17, "name": "ada"}}     path "user.name" -> ada     path "user.id" -> 17
//
// A string value is answered without its quotes and escapes; a number, true and false as they are
// written. Of a name that comes twice the last one counts. Bytes above 127 are not checked to be
// UTF-8.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace millrace::cli {

enum class FieldStatus {
  found,
  missing,    // no such field, or something on the way down is not an object
  not_plain,  // the field is null, an object or an array
  not_json,
};

class JsonFieldScanner {
 public:
  // Dots go down. `path` is not empty.
  explicit JsonFieldScanner(std::string_view path);

  // On `found`, value() holds the field until the next call.
  FieldStatus scan(std::string_view json);
  std::string_view value() const { return value_; }
  // On `not_json`: the byte, counted from 1, at which the text stops being JSON.
  std::size_t error_column() const;

  static constexpr int depth_max = 512;

 private:
  // Each answers false when the text is not JSON there. `level`: how many names of the path lead to
  // this value, -1: it is not on the path.
  bool scan_value(int level, int depth);
  bool scan_object(int level, int depth);
  bool scan_array(int depth);
  bool scan_string(std::string_view& raw);
  bool scan_number();
  bool scan_word(std::string_view word);
  void skip_space();
  bool at_end() const { return at_ == text_.size(); }
  bool take(char c);
  void found_plain(std::string_view text);
  void found_string(std::string_view raw);
  bool is_name(std::string_view raw, const std::string& name);

  std::vector<std::string> path_;
  std::string_view text_;
  std::size_t at_ = 0;
  FieldStatus status_ = FieldStatus::missing;
  std::string_view value_;
  std::string unescaped_;
  std::string name_;
};

}  // namespace millrace::cli
