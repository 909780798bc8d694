// Measured times and the figures that are told of them.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstddef>
#include <string>
#include <vector>

namespace millrace::cli {

class LatencySample {
 public:
  void add(double seconds) { seconds_.push_back(seconds); }
  void add_all(const LatencySample& other);
  bool empty() const { return seconds_.empty(); }
  std::size_t count() const { return seconds_.size(); }
  // The smallest measured value that is not below `fraction` of all; 0 when empty. Sorts.
  double quantile(double fraction);

  // {"samples","p50_seconds","p90_seconds","p99_seconds","max_seconds"}
  nlohmann::ordered_json to_json();
  // "p50 0.180 ms, p90 ..., p99 ..., max ... (1,000 samples)"
  std::string to_text();

 private:
  std::vector<double> seconds_;
};

}  // namespace millrace::cli
