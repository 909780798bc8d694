#include "inbox_reader.h"

#include "errors.h"

#include <algorithm>

namespace millrace::detail {

bool InboxReader::all_finished() const {
  return std::all_of(cursors_.begin(), cursors_.end(),
                     [](const ReadCursor& cursor) { return cursor.finished(); });
}

Outcome<EventBatch> InboxReader::next(Inbox& inbox, TimePoint until) {
  for (;;) {
    if (current_ != none) {
      if (auto shown = reader_.next(cursors_[current_])) return std::move(*shown);
      used_up_(std::exchange(current_, none), message_bytes_);
    }
    if (all_finished()) return EventBatch{};
    auto delivered = inbox.take(until);
    if (!delivered) return EventBatch{};
    if (delivered->error) {
      ReadCursor& failed = cursors_[delivered->slot];
      failed.position = std::max(failed.position, delivered->next_offset);
      return refuse(std::move(*delivered->error));
    }
    current_ = delivered->slot;
    message_bytes_ = delivered->bytes();
    reader_.start(std::move(*delivered));
  }
}

}  // namespace millrace::detail
