#include "storage/retired_segments.h"

#include "storage/base/diag.h"

#include <algorithm>
#include <utility>

namespace millrace {

RetiredSegments::RetiredSegments(const LogEnvironment& environment, const LogIdentity& identity,
                                 const LogTail& tail, std::function<void()> on_ended)
    : environment_(environment), identity_(identity), tail_(tail), on_ended_(std::move(on_ended)) {}

void RetiredSegments::proceed() {
  if (removal_ || waiting_.empty()) return;
  if (std::any_of(waiting_.begin(), waiting_.end(),
                  [this](const auto& segment) { return tail_.is_sealing(segment); }))
    return;
  removal_ = std::make_unique<SegmentRemoval>(environment_.disk, environment_.segment_pool,
                                              identity_.directory, std::exchange(waiting_, {}),
                                              true, [this](auto removed) { on_removed(removed); });
  removal_->start();
}

void RetiredSegments::on_removed(const Result<void>& removed) {
  if (!removed)
    diag::warn("log", "{}: a retired segment was not removed: {}", identity_.directory,
               removed.error().text);
  removal_.reset();
  proceed();
  const auto on_ended = on_ended_;
  on_ended();
}

}  // namespace millrace
