// The user's side of an inbox: takes a message at a time and shows its batches one after the other.
//
// Owner: a Reader's or LiveReader's core, which says what it means that a message is used up
// (credit goes back). Thread: the user's, one at a time. Event views live until the next call.
// Fails: as BatchReader does, and with the errors that came by the inbox; reading goes on behind
// them.
#pragma once

#include "batch_reader.h"
#include "inbox.h"
#include "loop.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace millrace::detail {

class InboxReader {
 public:
  // A message of this slot is used up; `bytes` came with it.
  using UsedUp = std::function<void(std::uint32_t slot, std::size_t bytes)>;

  InboxReader(std::string topic, std::uint32_t batch_bytes_max, UsedUp used_up)
      : reader_(std::move(topic), batch_bytes_max), used_up_(std::move(used_up)) {}

  // Slots count from 0, in the order in which they are added.
  void add(ReadCursor cursor) { cursors_.push_back(cursor); }
  const std::vector<ReadCursor>& cursors() const { return cursors_; }
  bool all_finished() const;

  // No events: none came until then, or all has been read.
  Outcome<EventBatch> next(Inbox& inbox, TimePoint until);

 private:
  static constexpr std::uint32_t none = UINT32_MAX;

  BatchReader reader_;
  UsedUp used_up_;
  std::vector<ReadCursor> cursors_;  // by slot
  std::uint32_t current_ = none;     // slot of the message that is being shown
  std::size_t message_bytes_ = 0;
};

}  // namespace millrace::detail
