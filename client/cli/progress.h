// One line on a terminal that is drawn over itself, at most five times a second; nothing elsewhere.
#pragma once

#include "context.h"

#include <string_view>

namespace millrace::cli {

class ProgressLine {
 public:
  explicit ProgressLine(const Context& context) : on_(context.shows_progress()) {}
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;
  // Wipes the line.
  ~ProgressLine();

  // Whether it is time to draw; ask before the text is made.
  bool due();
  void draw(std::string_view text);
  void wipe();

 private:
  bool on_;
  bool drawn_ = false;
  double next_ = 0;
};

}  // namespace millrace::cli
