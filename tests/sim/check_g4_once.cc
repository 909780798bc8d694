#include "tests/sim/checks.h"

#include <fmt/core.h>

namespace millrace::sim {

void check_g4_once(Oracle& oracle, const SentBatch& batch, std::uint64_t base,
                   std::string_view who) {
  const PartitionRecord& part = oracle.topics[batch.topic].parts[batch.partition];
  if (part.was_lied_to) return;
  if (!batch.base || *batch.base == base) return;
  // A batch that is fenced is not known to its session: its retry is stored, and can be read.
  for (const auto& rotten : part.rotten) {
    if (rotten.begin.value == *batch.base || rotten.begin.value == base) return;
  }
  oracle.fail("G4", fmt::format("{}: {} says that batch {} (session {} epoch {} sequence {}) is at "
                                "offset {}, and it is at {} already",
                                place_text(oracle, batch.topic, batch.partition), who, batch.tag,
                                batch.producer_id, batch.epoch, batch.sequence, base, *batch.base));
}

namespace {

// Of a session that may have been told by a damaged batch, less may be known than was acked.
bool may_be_forgotten(Oracle& oracle, const PartitionRecord& part, std::uint64_t producer_id) {
  if (part.was_lied_to || part.lost_checkpoint) return true;
  for (const OffsetRange& rotten : part.rotten) {
    const auto placed = part.placed.find(rotten.begin.value);
    if (placed == part.placed.end()) return true;
    const SentBatch* damaged = oracle.batch(placed->second.tag);
    if (damaged == nullptr || damaged->producer_id == producer_id) return true;
  }
  return false;
}

}  // namespace

// A session that the broker acked is known, and so are its newest batches. `batch` was sent by the
// session's owner, whose sequences are right.
void check_g4_answer(Oracle& oracle, const RequestRecord& request, const SentBatch& batch,
                     const Error& error) {
  if (request.expect != Expect::any || batch.producer_id == 0) return;
  const PartitionRecord& part = oracle.topics[batch.topic].parts[batch.partition];
  if (may_be_forgotten(oracle, part, batch.producer_id)) return;
  const auto found = part.sessions.find(batch.producer_id);
  if (found == part.sessions.end() || !found->second.has_ack) return;
  const SessionRecord& session = found->second;
  const bool is_current = session.epoch == batch.epoch && session.epoch_sent == batch.epoch;
  if (!is_current) return;
  const bool is_next_or_known = batch.sequence <= session.acked_end;
  const bool forgotten =
      error.code == Errc::unknown_producer ||
      (is_next_or_known && (error.code == Errc::out_of_order || error.code == Errc::fenced ||
                            error.code == Errc::sequence_conflict));
  if (!forgotten) return;
  oracle.fail("G4", fmt::format("{}: session {} epoch {} is acked up to sequence {}, and its batch "
                                "with sequence {} is refused: {}",
                                place_text(oracle, batch.topic, batch.partition), batch.producer_id,
                                batch.epoch, session.acked_end, batch.sequence, error.to_string()));
}

}  // namespace millrace::sim
