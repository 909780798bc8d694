#include "tests/sim/checks.h"

#include <fmt/core.h>

#include <algorithm>

namespace millrace::sim {

// What is delivered is what one client sent to this very partition, byte for byte.
void check_g2_value(Oracle& oracle, const Delivery& delivery) {
  const BatchHeader& header = delivery.batch.header();
  const auto where = place_text(oracle, delivery.topic, delivery.partition);
  const SentBatch* sent = oracle.batch(Oracle::tag_of(header));
  if (sent == nullptr) {
    return oracle.fail("G2", fmt::format("{}: {} gave a batch at offset {} that nobody sent", where,
                                         delivery.who, header.base_offset.value));
  }
  if (sent->topic != delivery.topic || sent->partition != delivery.partition) {
    return oracle.fail("G2", fmt::format("{}: {} gave batch {} at offset {}, which was sent to {}",
                                         where, delivery.who, sent->tag, header.base_offset.value,
                                         place_text(oracle, sent->topic, sent->partition)));
  }
  const ByteView body = ByteView(sent->bytes).subspan(batch_layout::header_bytes);
  const bool same = std::ranges::equal(delivery.batch.body(), body) &&
                    header.event_count == sent->event_count &&
                    header.producer_id == sent->producer_id && header.sequence == sent->sequence &&
                    header.producer_epoch == sent->epoch;
  if (!same) {
    oracle.fail("G2",
                fmt::format("{}: {} gave batch {} at offset {} with other bytes than were sent",
                            where, delivery.who, sent->tag, header.base_offset.value));
  }
}

// The range [base, base + count) was never told to be anything else.
void check_g2_place(Oracle& oracle, const SentBatch& batch, std::uint64_t base,
                    std::string_view who) {
  PartitionRecord& part = oracle.topics[batch.topic].parts[batch.partition];
  if (part.was_lied_to) return;
  const std::uint64_t end = base + batch.event_count;
  const auto other = [&](const auto& place) {
    oracle.fail("G2",
                fmt::format("{}: {} puts batch {} at [{}, {}), where batch {} is at [{}, {})",
                            place_text(oracle, batch.topic, batch.partition), who, batch.tag, base,
                            end, place.second.tag, place.first, place.first + place.second.count));
  };
  const auto next = part.placed.lower_bound(base);
  if (next != part.placed.end() && next->first < end &&
      (next->first != base || next->second.tag != batch.tag)) {
    return other(*next);
  }
  if (next == part.placed.begin()) return;
  const auto& before = *std::prev(next);
  if (before.first + before.second.count > base) other(before);
}

// A place that is said as a number, or as an end of the partition, is what it says, clamped to what
// is there. Those that are said as a time are the observer's.
void check_g2_where(Oracle& oracle, const RequestRecord& request, const OffsetListReply& reply) {
  const std::uint64_t start = reply.start_offset.value, end = reply.end_offset.value;
  const auto value = static_cast<std::uint64_t>(request.where.value);
  std::uint64_t right = start;
  switch (request.where.kind) {
    case Where::Kind::start: break;
    case Where::Kind::end: right = end; break;
    case Where::Kind::before_end: right = end - std::min(value, end - start); break;
    case Where::Kind::offset: right = std::clamp(value, start, end); break;
    case Where::Kind::time: return;
  }
  if (reply.offset.value == right) return;
  oracle.fail("G2", fmt::format("{}: the place of kind {} and number {} in [{}, {}) is told as {}",
                                place_text(oracle, request.topic, request.partition),
                                static_cast<int>(request.where.kind), value, start, end,
                                reply.offset.value));
}

}  // namespace millrace::sim
