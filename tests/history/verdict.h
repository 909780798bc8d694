// What the checker found: how much it looked at, and which promises were broken where.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace history {

// The names are those that Jepsen uses for Kafka, where it has one.
enum class Anomaly : std::uint8_t {
  lost_write,           // G1: acked, and not in the final reading
  duplicate,            // G4, G5: one event at two offsets
  inconsistent_offset,  // G2: one offset, two values
  reordered,            // G3: of one session, or against the order of acks and later sends
  gap,                  // G3: offsets that a reader or the final reading never got
  aborted_read,         // G5: surely not stored, and read
  nonmonotonic_poll,    // a reader was given an offset again
  phantom,              // read, and sent by nobody, or to another partition
  vanished,             // G6: read once, not there in the end
  resurrected,          // read below a start that had been told before the reader began
  end_went_back,        // G6: an end below what had been read, acked or told
  start_went_back,      // a start below one that had been told
  ack_after_failure,    // a partition took events again after a failed write, without a restart
  corrupt_value,        // G7: bytes that nobody sent were delivered
  damaged,              // stored bytes that do not verify, where nobody had damaged any
};
constexpr std::size_t anomaly_kinds = 15;

std::string_view name_of(Anomaly kind);

struct Tally {
  std::uint64_t journals = 0, sessions = 0, partitions = 0;
  std::uint64_t sent = 0, failed = 0;
  std::uint64_t acked = 0, acked_found = 0, acked_removed = 0;
  std::uint64_t unknown = 0, unknown_found = 0;
  std::uint64_t read = 0, final_read = 0;
};

class Verdict {
 public:
  static constexpr std::size_t told_per_kind = 5;

  void add(Anomaly kind, const std::string& text, std::uint64_t count = 1);
  std::uint64_t count(Anomaly kind) const { return counts_[static_cast<std::size_t>(kind)]; }
  bool valid() const;
  const std::vector<std::string>& told() const { return told_; }

  std::string to_text() const;
  std::string to_json() const;

  Tally tally;

 private:
  std::array<std::uint64_t, anomaly_kinds> counts_{};
  std::array<std::size_t, anomaly_kinds> told_of_kind_{};
  std::vector<std::string> told_;  // the first of each kind
};

}  // namespace history
