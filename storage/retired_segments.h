// Segments that a log has let go, on their way out: one removal at a time, oldest first. None
// begins while one of its segments is still being sealed, which would put an index behind a segment
// that is gone.
//
// Owner: Log, which has made durable that it starts behind them. Thread: the shard's. Fails: a
// removal that fails is named in diag, and recovery finishes it.
#pragma once

#include "storage/log.h"
#include "storage/log_tail.h"
#include "storage/segment.h"
#include "storage/segment_removal.h"

#include <functional>
#include <memory>
#include <vector>

namespace millrace {

class RetiredSegments {
 public:
  // What it is made of outlives it. `on_ended` is called when a removal has ended, as the last act.
  RetiredSegments(const LogEnvironment& environment, const LogIdentity& identity,
                  const LogTail& tail, std::function<void()> on_ended);
  RetiredSegments(const RetiredSegments&) = delete;
  RetiredSegments& operator=(const RetiredSegments&) = delete;

  // The caller keeps no reference: a file that somebody holds is not used again.
  void add(SegmentRef segment) { waiting_.push_back(std::move(segment)); }
  // Begins a removal, if there is one to begin. Called after add, and whenever a seal has ended.
  void proceed();
  bool idle() const { return !removal_ && waiting_.empty(); }

 private:
  void on_removed(const Result<void>& removed);

  LogEnvironment environment_;
  const LogIdentity& identity_;
  const LogTail& tail_;
  const std::function<void()> on_ended_;
  std::vector<SegmentRef> waiting_;
  std::unique_ptr<SegmentRemoval> removal_;
};

}  // namespace millrace
