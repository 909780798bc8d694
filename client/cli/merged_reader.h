// The events of several partitions as one sequence: merged by event time, in the order of the log
// within a partition.
//
// One Reader per partition, so that each keeps its own batch while the others go on. All have an
// end. Owner: replay.
#pragma once

#include "millrace/reader.h"
#include "read_faults.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace millrace::cli {

class MergedReader {
 public:
  static Outcome<MergedReader> open(const Client& client, const std::string& topic,
                                    const std::vector<std::uint32_t>& partitions,
                                    const PlaceRange& range);

  // The next event, valid until the next call. Null: the end, an interrupt, or a failure that was
  // reported.
  const EventView* next();
  bool failed() const { return failed_; }
  // A hole was met; reading went on behind it.
  bool had_holes() const { return faults_.any(); }

 private:
  struct Lane {
    Reader reader;
    std::span<const EventView> events;
    std::size_t at = 0;
  };
  explicit MergedReader(std::string topic) : faults_(std::move(topic)) {}
  // False: the lane is at its end, or failed.
  bool refill(Lane& lane);
  void push(Lane* lane);

  std::vector<std::unique_ptr<Lane>> lanes_;
  // A heap of the lanes that have an event; the earliest is at its front.
  std::vector<Lane*> heap_;
  // The lane whose event was handed out last; it is moved on by the next call.
  Lane* current_ = nullptr;
  ReadFaults faults_;
  bool failed_ = false;
};

}  // namespace millrace::cli
