#include "broker/produce/producer_table.h"

#include <fmt/core.h>

#include <algorithm>

namespace millrace {
namespace {

using Verdict = Result<std::optional<ProducedBatch>>;

// Sums of sequences and counts stay far from wrapping around.
constexpr std::uint64_t sequence_max = std::uint64_t{1} << 62;

Verdict check_first(const BatchHeader& header, std::string_view what) {
  if (header.sequence == 0) return std::optional<ProducedBatch>{};
  return fail(
      Errc::unknown_producer,
      fmt::format("{} and the batch does not begin with sequence 0 but {}; begin a new session",
                  what, header.sequence));
}

Verdict check_in_window(const ProducerState& state, const BatchHeader& header) {
  // Memory may hold more than is promised; what is promised is the same before and after a crash.
  const std::size_t known = std::min(state.recent.size(), ProducerState::window);
  const auto oldest = state.recent.end() - static_cast<std::ptrdiff_t>(known);
  if (known == 0 || header.sequence < oldest->sequence) {
    return fail(Errc::sequence_expired,
                fmt::format("sequence {} was taken before, but the last {} batches are all that is "
                            "remembered of it; it is stored, do not send it again",
                            header.sequence, ProducerState::window));
  }
  const auto batch = std::find_if(oldest, state.recent.end(), [&](const ProducedBatch& b) {
    return b.sequence == header.sequence;
  });
  if (batch != state.recent.end() && batch->event_count == header.event_count &&
      batch->body_checksum == body_checksum(header))
    return std::optional(*batch);
  return fail(Errc::sequence_conflict,
              fmt::format("sequence {} was taken before with other events; two producers share one "
                          "id, begin a new session",
                          header.sequence));
}

}  // namespace

Result<std::optional<ProducedBatch>> check_sequence(const ProducerStates& producers,
                                                    const BatchHeader& header) {
  if (header.producer_id == 0) return std::optional<ProducedBatch>{};
  if (header.sequence > sequence_max) {
    return fail(Errc::bad_batch,
                fmt::format("sequence {} is above {}", header.sequence, sequence_max));
  }
  const ProducerState* state = producers.find(header.producer_id);
  if (state == nullptr) return check_first(header, "this producer is not known here");
  if (header.producer_epoch < state->epoch) {
    return fail(Errc::fenced,
                fmt::format("epoch {} of this producer has ended, {} is in force; stop, or begin "
                            "a new session",
                            header.producer_epoch, state->epoch));
  }
  if (header.producer_epoch > state->epoch) return check_first(header, "this epoch is new");
  const std::uint64_t next = state->next_sequence();
  if (header.sequence == next) return std::optional<ProducedBatch>{};
  if (header.sequence > next) {
    return fail(Errc::out_of_order,
                fmt::format("sequence {} came, {} is the next; send again in order",
                            header.sequence, next));
  }
  return check_in_window(*state, header);
}

}  // namespace millrace
