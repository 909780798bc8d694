#include "bench/floor/cell.h"

#include <algorithm>

namespace millrace::floor {

double Cell::latency_us(double quantile) const {
  if (latencies_us.empty()) return 0;
  std::vector<double> sorted = latencies_us;
  const auto place = static_cast<std::size_t>(quantile * static_cast<double>(sorted.size() - 1));
  std::nth_element(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(place),
                   sorted.end());
  return sorted[place];
}

}  // namespace millrace::floor
