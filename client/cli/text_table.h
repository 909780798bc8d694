// Columns for people: left-aligned text, right-aligned numbers, two spaces between.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::cli {

class TextTable {
 public:
  // A title that begins with '>' names a right-aligned column.
  explicit TextTable(std::vector<std::string> titles);
  void add_row(std::vector<std::string> cells);
  std::string to_string() const;

 private:
  std::vector<std::string> titles_;
  std::vector<bool> right_aligned_;
  std::vector<std::vector<std::string>> rows_;
};

// "1.5 MiB", "12 B".
std::string human_bytes(std::uint64_t bytes);
// "1,234,567".
std::string human_count(std::uint64_t count);
// "1 event", "1,234 events". `many`: where an s behind `one` is not enough.
std::string human_count(std::uint64_t count, std::string_view one, std::string_view many = {});
// Decimal megabytes a second: "312.4 MB/s".
std::string human_rate(std::uint64_t bytes, double seconds);
// "0.412 ms", "1.203 s".
std::string human_seconds(double seconds);

}  // namespace millrace::cli
