#include "broker/fetch/where_lookups.h"

#include "broker/partition.h"

#include <fmt/core.h>

#include <algorithm>

namespace millrace {
namespace {

Offset before_end(Offset start, Offset end, std::uint64_t count) {
  return end - start < count ? start : Offset{end.value - count};
}

Offset clamped(Offset start, Offset end, std::int64_t value) {
  if (value < 0) return start;
  return std::clamp(Offset{static_cast<std::uint64_t>(value)}, start, end);
}

}  // namespace

void WhereLookups::begin(Partition& partition, const Where& where, Done done) {
  const Offset start = partition.log().start_offset();
  const Offset end = partition.committed_end();
  switch (where.kind) {
    case Where::Kind::start: return done(start);
    case Where::Kind::end: return done(end);
    case Where::Kind::before_end:
      if (where.value < 0) {
        return done(fail(Errc::bad_request,
                         fmt::format("{} events before the end is not a place", where.value)));
      }
      return done(before_end(start, end, static_cast<std::uint64_t>(where.value)));
    case Where::Kind::offset: return done(clamped(start, end, where.value));
    case Where::Kind::time: return find_time(partition, WallTime{where.value}, std::move(done));
  }
  done(fail(Errc::bad_request, "an unknown kind of place"));
}

void WhereLookups::find_time(Partition& partition, WallTime time, Done done) {
  if (lookups_.size() >= lookups_max) {
    return done(fail(Errc::overloaded,
                     fmt::format("{} lookups by time are under way, the limit; retry after a "
                                 "pause",
                                 lookups_max)));
  }
  Lookup& lookup = lookups_[next_id_++];
  lookup.partition = &partition;
  lookup.time = time;
  lookup.done = std::move(done);
  search_next();
}

void WhereLookups::search_next() {
  while (searches_ < searches_max) {
    const auto next = lookups_.lower_bound(next_search_);
    if (next == lookups_.end()) return;
    const std::uint64_t id = next->first;
    next_search_ = id + 1;
    ++searches_;
    Lookup& lookup = next->second;
    lookup.read = lookup.partition->log().find_time(lookup.time, [this, id](Result<Offset> found) {
      end(id, std::move(found));
      search_next();
    });
  }
}

void WhereLookups::end(std::uint64_t id, Result<Offset> result) {
  auto node = lookups_.extract(id);
  // Its partition went before its read, which lives until tidy, came to its end.
  if (node.empty()) return;
  if (node.mapped().read) --searches_;
  // The read is inside of its own callback: it lives until tidy.
  dead_.push_back(std::move(node.mapped().read));
  node.mapped().done(std::move(result));
}

void WhereLookups::end_all(const Partition& partition, const Error& error) {
  for (auto it = lookups_.begin(); it != lookups_.end();) {
    const auto at = it++;
    if (at->second.partition == &partition) end(at->first, fail(error));
  }
  search_next();
}

void WhereLookups::end_all(const Error& error) {
  while (!lookups_.empty()) end(lookups_.begin()->first, fail(error));
}

}  // namespace millrace
