#include "storage/time_search.h"

#include "storage/base/call_last.h"

#include <utility>

namespace millrace {

TimeSearch::TimeSearch(Disk& disk, SlabPool& slabs, Plan plan, OnDamage on_damage, Done done)
    : disk_(disk),
      slabs_(slabs),
      plan_(std::move(plan)),
      on_damage_(std::move(on_damage)),
      done_(std::move(done)) {}

void TimeSearch::start() {
  if (plan_.segment->index_whole) return walk_from_index();
  load_ = std::make_unique<IndexLoad>(disk_, slabs_, plan_.segment, plan_.index_path,
                                      plan_.index_interval_bytes, [this](auto damage) {
                                        if (!damage) return call_last(done_, fail(damage.error()));
                                        on_damage_(plan_.segment, *damage);
                                        walk_from_index();
                                      });
  load_->start();
}

IndexEntry TimeSearch::first() const {
  return {plan_.segment->base(), segment_layout::first_batch_position, {}};
}

void TimeSearch::walk_from_index() { walk(plan_.segment->index.before(plan_.time, first())); }

void TimeSearch::walk(const IndexEntry& place) {
  SegmentScan::Plan scan;
  scan.path = plan_.segment->path;
  scan.segment_id = plan_.segment->header.segment_id;
  scan.from = place.position;
  scan.next_offset = place.offset;
  scan.end_offset = plan_.limit;
  found_ = plan_.limit;
  const auto visit = [this](const BatchHeader& header, Position) {
    if (header.append_time < plan_.time) return true;
    found_ = header.base_offset;
    return false;
  };
  scan_ = std::make_unique<SegmentScan>(disk_, slabs_, std::move(scan), visit,
                                        [this, place](auto scanned) {
                                          if (!scanned)
                                            return call_last(done_, fail(scanned.error()));
                                          on_walked(place, scanned->damage);
                                        });
  scan_->start();
}

// The index is a hint. Where it leads to no batch, or to one that is not before the time, it may be
// wrong rather than the segment damaged.
void TimeSearch::on_walked(const IndexEntry& place,
                           const std::vector<SegmentScan::Damage>& damage) {
  const bool not_before = found_ == place.offset && found_ < plan_.limit;
  const bool led_astray = !damage.empty() || not_before;
  if (led_astray && place.position != first().position) return walk(first());
  on_damage_(plan_.segment, damage);
  call_last(done_, found_);
}

}  // namespace millrace
