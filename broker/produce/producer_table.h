// The rules by which a producer session's batch is taken, recognised or refused (G4, PR-10).
//
//   producer_id 0                       no session: always taken
//   known, same epoch, next sequence    taken
//   known, sequence in the window       the same count and bytes: a duplicate, answered with its
//   first offsets
//                                       anything else: sequence_conflict
//   known, below the window             sequence_expired
//   known, above the next               out_of_order
//   older epoch                         fenced
//   newer epoch, or not known           taken from sequence 0 on, else unknown_producer
//
// Pure: a function of what the log remembers (storage/producer_state.h); the log notes what is
// appended by itself.
#pragma once

#include "storage/base/result.h"
#include "storage/producer_state.h"

#include <optional>

namespace millrace {

// Nothing: append it. A batch: it was appended before, as that one.
Result<std::optional<ProducedBatch>> check_sequence(const ProducerStates& producers,
                                                    const BatchHeader& header);

}  // namespace millrace
