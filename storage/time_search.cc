#include "storage/time_search.h"

#include "storage/base/call_last.h"

#include <utility>

namespace millrace {

TimeSearch::TimeSearch(Disk& disk, SlabPool& slabs, Plan plan, OnDamage on_damage, Done done)
    : disk_(disk),
      slabs_(slabs),
      plan_(std::move(plan)),
      on_damage_(std::move(on_damage)),
      done_(std::move(done)),
      found_(plan_.limit) {}

void TimeSearch::start() {
  if (plan_.segment->index_whole) return walk();
  load_ = std::make_unique<IndexLoad>(disk_, slabs_, plan_.segment, plan_.index_path,
                                      plan_.index_interval_bytes, [this](auto damage) {
                                        if (!damage) return call_last(done_, fail(damage.error()));
                                        on_damage_(plan_.segment, *damage);
                                        walk();
                                      });
  load_->start();
}

void TimeSearch::walk() {
  const IndexEntry first{plan_.segment->base(), segment_layout::first_batch_position, {}};
  const IndexEntry place = plan_.segment->index.before(plan_.time, first);
  SegmentScan::Plan scan;
  scan.path = plan_.segment->path;
  scan.segment_id = plan_.segment->header.segment_id;
  scan.from = place.position;
  scan.next_offset = place.offset;
  scan.end_offset = plan_.limit;
  const auto visit = [this](const BatchHeader& header, Position) {
    if (header.append_time < plan_.time) return true;
    found_ = header.base_offset;
    return false;
  };
  scan_ =
      std::make_unique<SegmentScan>(disk_, slabs_, std::move(scan), visit, [this](auto scanned) {
        if (!scanned) return call_last(done_, fail(scanned.error()));
        on_damage_(plan_.segment, scanned->damage);
        call_last(done_, found_);
      });
  scan_->start();
}

}  // namespace millrace
