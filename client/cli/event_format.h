// How one event is printed: a format in which %-marks stand for its parts, or one JSON object a
// line.
//
//   %t topic  %p partition  %o offset  %k key  %v payload  %h headers (a=1,b=2)  %T time (RFC 3339)
//   %s payload bytes  %% a percent sign  \n \t \r \0 \\ as in C
#pragma once

#include "millrace/error.h"
#include "millrace/event.h"

#include <string>
#include <string_view>
#include <vector>

namespace millrace::cli {

class EventFormat {
 public:
  // Errors: bad_usage, naming the mark that is not known.
  static Outcome<EventFormat> parse(std::string_view format);
  // {"topic","partition","offset","time","key","headers","value"} and a newline. A key that is not
  // there is null. Bytes that are not UTF-8 stand as base64 under "key_base64", "value_base64"
  // instead; header values that are not UTF-8 stand under "headers_base64". A header that comes
  // twice has an array of values.
  static EventFormat json_lines();

  void append(std::string& out, const EventView& event) const;

 private:
  enum class Part { text, topic, partition, offset, key, payload, headers, time, size };
  struct Piece {
    Part part;
    std::string text;
  };
  bool json_ = false;
  std::vector<Piece> pieces_;
};

// Undoes \n \t \r \0 \\ ; answers false for a backslash before anything else.
bool unescape(std::string_view text, std::string& out);

}  // namespace millrace::cli
