#include "tests/sim/checks.h"

#include <fmt/core.h>

namespace millrace::sim {

void check_g5_not_refused(Oracle& oracle, const Delivery& delivery) {
  const SentBatch* sent = oracle.batch(Oracle::tag_of(delivery.batch.header()));
  if (sent == nullptr || !sent->is_refused()) return;
  oracle.fail("G5",
              fmt::format("{}: {} gave batch {} at offset {}; each of its {} attempts was "
                          "refused as not stored",
                          place_text(oracle, delivery.topic, delivery.partition), delivery.who,
                          sent->tag, delivery.batch.header().base_offset.value, sent->attempts));
}

}  // namespace millrace::sim
