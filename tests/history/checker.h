// Judges a history by the promises G1 to G7 of docs/architecture.md.
//
// A log makes this easy: each event has one name, each offset one place, so that the history is
// right if the map from offsets to events is one function, and the times agree with it. No search
// is needed.
//
//   sends, outcomes  ->  events_   per session and number: when, whereto, what became of it
//   acks, reads      ->  logs_     per partition and offset: which event
//   then each promise is one pass over one of the two
//
// Throws std::runtime_error when the journals do not fit together (an outcome of an event that was
// not sent, a partition without a final reading): then nothing can be said.
#pragma once

#include "tests/history/history.h"
#include "tests/history/verdict.h"

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace history {

constexpr std::uint32_t none = UINT32_MAX;

struct EventFate {
  std::uint32_t send = none;        // index of its Send
  std::uint32_t completion = none;  // index of its Completion
  std::uint64_t place = no_offset;  // where it was read
};

struct EventName {
  std::uint32_t session = none;
  std::uint32_t number = 0;
  friend bool operator==(const EventName&, const EventName&) = default;
};

struct LogSlot {
  EventName event;
  Source source;  // of the first that told
  bool read = false, final = false;
};

// What is known of one partition's log. Pages, so that a wild offset costs one page.
class KnownLog {
 public:
  LogSlot& at(std::uint64_t offset);
  const LogSlot* find(std::uint64_t offset) const;
  // Calls with each slot that holds something, offsets rising (or falling).
  template <class Visit>
  void each(Visit visit) const;
  template <class Visit>
  void each_backwards(Visit visit) const;

 private:
  static constexpr std::uint64_t page_slots = 1024;
  using Page = std::array<LogSlot, page_slots>;
  std::map<std::uint64_t, std::unique_ptr<Page>> pages_;
};

class Checker {
 public:
  explicit Checker(const History& history) : history_(history) {}
  Verdict check();

  // For the Jepsen export, after check().
  const std::vector<std::vector<EventFate>>& events() const { return events_; }

 private:
  void collect_events();
  void find_final_readers();
  void collect_log();
  void check_log_events();
  void check_acks();
  void check_ack(const Completion& completion, std::uint64_t i);
  void check_final_ranges();
  void check_session_order(std::uint32_t partition);
  void check_real_time_order(std::uint32_t partition);
  void check_readers();
  void check_bounds();
  void check_failed_partitions();
  void count_fates();

  void note(std::uint32_t partition, std::uint64_t offset, EventName event, Source source);
  const EventFate* fate(EventName event) const;
  bool removable(std::uint32_t partition) const;
  std::string text(EventName event) const;
  std::string text(std::uint32_t partition, std::uint64_t offset) const;

  const History& history_;
  Verdict verdict_;
  std::vector<std::vector<EventFate>> events_;
  std::vector<KnownLog> logs_;
  std::vector<std::optional<ReaderStep>> final_;  // per partition
};

}  // namespace history
