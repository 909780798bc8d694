#include "storage/base/nearest_name.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace millrace {
namespace {

constexpr std::size_t always_near = 2;

std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replace = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replace, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

}  // namespace

std::optional<std::string_view> nearest_name(std::string_view unknown,
                                             std::span<const std::string_view> known) {
  std::optional<std::string_view> nearest;
  std::size_t least = 0;
  for (const std::string_view name : known) {
    const std::size_t shorter = std::min(unknown.size(), name.size());
    const std::size_t longer = std::max(unknown.size(), name.size());
    const std::size_t near = std::max(always_near, longer / 3);
    // Also bounds the work for a name of any length.
    if (longer - shorter > near) continue;
    const std::size_t steps = distance(unknown, name);
    if (steps > near || (nearest && steps >= least)) continue;
    nearest = name;
    least = steps;
  }
  return nearest;
}

}  // namespace millrace
