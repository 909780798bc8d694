#include "tests/sim/sim_counts.h"

#include <fmt/core.h>

namespace millrace::sim {

void Counts::add(Map& map, std::string_view key, std::uint64_t n) {
  const auto found = map.find(key);
  if (found != map.end()) {
    found->second += n;
  } else if (n != 0) {
    map.emplace(key, n);
  }
}

void Counts::add(const Counts& other) {
  for (const auto& [key, n] : other.rows_) add(rows_, key, n);
  for (const auto& [key, n] : other.faults_) add(faults_, key, n);
  for (const auto& [key, n] : other.work_) add(work_, key, n);
}

std::uint64_t Counts::work_of(std::string_view what) const {
  const auto found = work_.find(what);
  return found == work_.end() ? 0 : found->second;
}

std::uint64_t Counts::row_of(std::string_view id) const {
  const auto found = rows_.find(id);
  return found == rows_.end() ? 0 : found->second;
}

std::uint64_t Counts::faults_total() const {
  std::uint64_t total = 0;
  for (const auto& [key, n] : faults_) total += n;
  return total;
}

std::string Counts::json_members() const {
  const auto object = [](std::string_view name, const Map& map) {
    std::string text = fmt::format("\"{}\":{{", name);
    for (const auto& [key, n] : map) {
      if (text.back() != '{') text += ',';
      text += fmt::format("\"{}\":{}", key, n);
    }
    return text + "}";
  };
  return object("work", work_) + "," + object("faults", faults_) + "," + object("rows", rows_);
}

}  // namespace millrace::sim
