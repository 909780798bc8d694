#include "broker/produce/admission.h"

#include "broker/produce/producer_table.h"

#include <fmt/core.h>

namespace millrace {

Result<std::optional<ProducedBatch>> admit(const AdmissionFacts& facts,
                                           const ProducerStates& producers,
                                           const BatchView& batch) {
  const BatchHeader& header = batch.header();
  const std::size_t bytes = batch.bytes().size();
  if (header.segment_id != 0 || header.base_offset.value != 0) {
    return fail(Errc::bad_batch,
                "a producer leaves segment and offset at 0; the broker gives them");
  }
  // What is stored already takes nothing, and whoever asks again is to hear of it, however full.
  auto sequence = check_sequence(producers, header);
  if (sequence && *sequence) return sequence;
  if (!facts.disk_refusal.empty()) return fail(Errc::storage_full, std::string(facts.disk_refusal));
  if (bytes > facts.batch_bytes_max) {
    return fail(Errc::too_large,
                fmt::format("a batch of {} bytes is above batch_bytes_max = {}; send "
                            "smaller batches, or create the topic with a larger one",
                            bytes, facts.batch_bytes_max));
  }
  // One batch is always let in, however large, or a small limit would stop everything.
  if (facts.staged_bytes != 0 && facts.staged_bytes + bytes > facts.staged_bytes_max) {
    return fail(Errc::overloaded,
                fmt::format("{} bytes wait for the disk already, the limit is {}; "
                            "retry after a pause",
                            facts.staged_bytes, facts.staged_bytes_max));
  }
  if (facts.acks_waiting >= AdmissionFacts::acks_waiting_max) {
    return fail(Errc::overloaded, fmt::format("{} batches of this partition wait for their answer, "
                                              "the limit; retry after a pause",
                                              facts.acks_waiting));
  }
  return sequence;
}

}  // namespace millrace
