#include "latency_sample.h"

#include "text_table.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

namespace millrace::cli {

void LatencySample::add_all(const LatencySample& other) {
  seconds_.insert(seconds_.end(), other.seconds_.begin(), other.seconds_.end());
}

double LatencySample::quantile(double fraction) {
  if (seconds_.empty()) return 0;
  const double place = std::ceil(fraction * static_cast<double>(seconds_.size())) - 1;
  const auto index = std::clamp<std::ptrdiff_t>(static_cast<std::ptrdiff_t>(place), 0,
                                                static_cast<std::ptrdiff_t>(seconds_.size()) - 1);
  std::nth_element(seconds_.begin(), seconds_.begin() + index, seconds_.end());
  return seconds_[static_cast<std::size_t>(index)];
}

nlohmann::ordered_json LatencySample::to_json() {
  return {{"samples", count()},
          {"p50_seconds", quantile(0.5)},
          {"p90_seconds", quantile(0.9)},
          {"p99_seconds", quantile(0.99)},
          {"max_seconds", quantile(1)}};
}

std::string LatencySample::to_text() {
  return fmt::format("p50 {}, p90 {}, p99 {}, max {} ({} samples)", human_seconds(quantile(0.5)),
                     human_seconds(quantile(0.9)), human_seconds(quantile(0.99)),
                     human_seconds(quantile(1)), human_count(count()));
}

}  // namespace millrace::cli
