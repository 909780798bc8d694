// The promises as checks, one source file each: check_g1_acked_survives.cc to
// check_g9_restart_bounded.cc. Each looks at one thing that the broker said or did, compares it
// with the oracle's record, and notes a finding under its promise's name.
//
// Pure apart from the finding. A check that a fault of the simulator's own making excuses says so.
#pragma once

#include "tests/sim/oracle.h"
#include "tests/sim/sim_disk.h"

#include <map>

namespace millrace::sim {

// A batch that somebody was given, verified.
struct Delivery {
  TopicIndex topic = 0;
  PartitionIndex partition = 0;
  const BatchView& batch;
  std::string_view who;  // fetch, push, live feed
};

// A partition read from its start to its end.
struct FullRead {
  TopicIndex topic = 0;
  PartitionIndex partition = 0;
  std::uint64_t start = 0, end = 0;
  std::map<std::uint64_t, BatchHeader> batches;  // by base offset
  std::vector<OffsetRange> holes;                // as named by the errors
};

// -- G1: acked means durable.
void check_g1_ack_is_on_disk(Oracle& oracle, const SimDisk& disk, const SentBatch& batch,
                             std::uint64_t base);
void check_g1_bounds(Oracle& oracle, TopicIndex topic, PartitionIndex partition,
                     std::uint64_t start, std::uint64_t end);
void check_g1_all_there(Oracle& oracle, const FullRead& read);
void check_g1_topics(Oracle& oracle, const TopicListReply& reply);

// -- G2: one offset, one value.
void check_g2_value(Oracle& oracle, const Delivery& delivery);
void check_g2_place(Oracle& oracle, const SentBatch& batch, std::uint64_t base,
                    std::string_view who);
void check_g2_where(Oracle& oracle, const RequestRecord& request, const OffsetListReply& reply);

// -- G3: gap-free, in ack order, in send order.
void check_g3_ack_order(Oracle& oracle, const SentBatch& batch, std::uint64_t base);
void check_g3_continues(Oracle& oracle, const Delivery& delivery, std::uint64_t next);
void check_g3_sessions(Oracle& oracle, const FullRead& read);

// -- G4: a retried sequence yields one event.
void check_g4_once(Oracle& oracle, const SentBatch& batch, std::uint64_t base,
                   std::string_view who);
void check_g4_answer(Oracle& oracle, const RequestRecord& request, const SentBatch& batch,
                     const Error& error);

// -- G5: what was refused is never readable.
void check_g5_not_refused(Oracle& oracle, const Delivery& delivery);

// -- G6: nobody is given what a loss of power could take.
void check_g6_is_durable(Oracle& oracle, const SimDisk& disk, const Delivery& delivery);

// -- G7: damage is named, never delivered, never forgotten.
void check_g7_named(Oracle& oracle, TopicIndex topic, PartitionIndex partition, const Error& error);
void check_g7_holes(Oracle& oracle, const FullRead& read);
void check_g7_healed(Oracle& oracle, const FullRead& read);

// -- G8: no input changes what it has no business with.
void check_g8_answer(Oracle& oracle, const RequestRecord& request, const ReplyBody& body);
void check_g8_start(Oracle& oracle, TopicIndex topic, PartitionIndex partition,
                    std::uint64_t start);
void check_g8_append_time(Oracle& oracle, const SentBatch& batch, WallTime append_time);
void check_g8_credit(Oracle& oracle, RequestRecord& subscription, std::uint64_t bytes);
void check_g8_refusal(Oracle& oracle, const RequestRecord& request, const Error& error);
void check_g8_all_answered(Oracle& oracle, Duration patience);

// -- G9: a restart reads the tails, not the data.
void check_g9_restart_read(Oracle& oracle, std::uint64_t bytes_read, std::uint64_t segments);

}  // namespace millrace::sim
