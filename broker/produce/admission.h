// The reasons to refuse a batch, in one ordered list: the first that holds is the answer.
//
// Trip one, station five: called by Partition, calls producer_table. Pure: facts in, verdict out.
// What only the log can know (its own state, its own staging) it refuses in append.
#pragma once

#include "broker/requests.h"
#include "storage/base/result.h"
#include "storage/producer_state.h"

#include <optional>
#include <string>
#include <string_view>

namespace millrace {

struct AdmissionFacts {
  std::string_view disk_refusal;  // why the disk takes no batch; empty: it does
  std::uint32_t batch_bytes_max = 0;
  std::uint64_t staged_bytes = 0, staged_bytes_max = 0;  // of all partitions
  std::size_t acks_waiting = 0;                          // of this one
  static constexpr std::size_t acks_waiting_max = 65'536;
};

// Nothing: append it. A batch: answer with that one's offsets.
// Errors: bad_batch, storage_full, too_large, overloaded, and those of check_sequence.
Result<std::optional<ProducedBatch>> admit(const AdmissionFacts& facts,
                                           const ProducerStates& producers, const BatchView& batch);

}  // namespace millrace
