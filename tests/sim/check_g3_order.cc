#include "tests/sim/checks.h"

#include <fmt/core.h>

#include <algorithm>

namespace millrace::sim {

// Durable acks of one life of the process come in the order of their offsets.
void check_g3_ack_order(Oracle& oracle, const SentBatch& batch, std::uint64_t base) {
  PartitionRecord& part = oracle.topics[batch.topic].parts[batch.partition];
  if (base < part.last_ack) {
    oracle.fail("G3",
                fmt::format("{}: the ack of batch {} at offset {} came after one that ends at {}",
                            place_text(oracle, batch.topic, batch.partition), batch.tag, base,
                            part.last_ack));
  }
  part.last_ack = base + batch.event_count;
}

void check_g3_continues(Oracle& oracle, const Delivery& delivery, std::uint64_t next) {
  const std::uint64_t base = delivery.batch.header().base_offset.value;
  if (base == next) return;
  oracle.fail("G3", fmt::format("{}: {} gave a batch at offset {} where {} comes next",
                                place_text(oracle, delivery.topic, delivery.partition),
                                delivery.who, base, next));
}

namespace {

// The retry of a batch that is fenced is stored, and when the rot is taken away there are two.
bool is_retry_of_rotten(const PartitionRecord& part, std::uint64_t base,
                        const BatchHeader& header) {
  return std::any_of(part.rotten.begin(), part.rotten.end(), [&](const OffsetRange& rotten) {
    const auto first = part.placed.find(rotten.begin.value);
    return first != part.placed.end() && first->first != base &&
           first->second.tag == Oracle::tag_of(header);
  });
}

}  // namespace

// Within a session sequences follow each other and epochs never fall; append times never fall.
void check_g3_sessions(Oracle& oracle, const FullRead& read) {
  const PartitionRecord& part = oracle.topics[read.topic].parts[read.partition];
  if (part.was_lied_to || part.lost_checkpoint) return;
  const auto where = place_text(oracle, read.topic, read.partition);
  struct Session {
    std::uint32_t epoch;
    std::uint64_t next;
  };
  std::map<std::uint64_t, Session> sessions;
  std::uint64_t next = read.start;
  WallTime last_time{INT64_MIN};
  for (const auto& [base, header] : read.batches) {
    // Behind a hole a session may go on at any sequence.
    if (base > next) sessions.clear();
    next = header.end_offset().value;
    if (header.append_time < last_time) {
      oracle.fail("G3", fmt::format("{}: the append time falls at offset {}", where, base));
    }
    last_time = header.append_time;
    if (header.producer_id == 0 || is_retry_of_rotten(part, base, header)) continue;
    const auto [place, added] =
        sessions.try_emplace(header.producer_id, Session{header.producer_epoch, header.sequence});
    Session& session = place->second;
    const bool is_new_epoch = header.producer_epoch > session.epoch;
    const std::uint64_t expected = is_new_epoch ? 0 : session.next;
    if (header.producer_epoch < session.epoch || header.sequence != expected) {
      return oracle.fail(
          "G3", fmt::format("{}: session {} has epoch {} sequence {} at offset {}, after epoch {} "
                            "and before sequence {}",
                            where, header.producer_id, header.producer_epoch, header.sequence, base,
                            session.epoch, session.next));
    }
    session = {header.producer_epoch, header.sequence + header.event_count};
  }
}

}  // namespace millrace::sim
