#include "broker/fanout/subscription.h"

#include "broker/fanout/feeder.h"

#include <algorithm>
#include <limits>

namespace millrace {

void Subscription::on_room() { feeder_.make_ready(*this); }

void Subscription::grant(std::uint32_t bytes) {
  constexpr std::int64_t most = std::numeric_limits<std::uint32_t>::max();
  credit = std::min(credit + bytes, most);
}

}  // namespace millrace
