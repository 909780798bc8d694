// The promises that are about moments: what each reader was given one after the other, what the
// broker told of a log's bounds, and what it took after a failure.
#include "tests/history/checker.h"

#include <algorithm>
#include <tuple>

namespace history {
namespace {

// "From this moment on at least so much": the highest value told before a moment.
class Rising {
 public:
  void add(std::int64_t time, std::uint64_t value, Source source) {
    told_.push_back({time, value, source});
  }
  void finish() {
    std::sort(told_.begin(), told_.end(),
              [](const Told& a, const Told& b) { return a.time < b.time; });
    for (std::size_t i = 1; i < told_.size(); ++i)
      if (told_[i].value < told_[i - 1].value) {
        told_[i].value = told_[i - 1].value;
        told_[i].source = told_[i - 1].source;
      }
  }
  struct Told {
    std::int64_t time;
    std::uint64_t value;
    Source source;
  };
  // Null: nothing was told before.
  const Told* before(std::int64_t time) const {
    auto at = std::lower_bound(told_.begin(), told_.end(), time,
                               [](const Told& told, std::int64_t t) { return told.time < t; });
    return at == told_.begin() ? nullptr : &*--at;
  }

 private:
  std::vector<Told> told_;
};

struct ReaderPlace {
  std::uint64_t expected = no_offset;  // not known yet
  std::int64_t opened = 0;
};

std::vector<Rising> starts_of(const History& history) {
  std::vector<Rising> starts(history.partitions.size());
  for (const Bounds& bounds : history.bounds)
    starts[bounds.partition].add(bounds.answered, bounds.start, bounds.source);
  for (Rising& rising : starts) rising.finish();
  return starts;
}

}  // namespace

void Checker::check_readers() {
  const std::vector<Rising> starts = starts_of(history_);
  std::map<std::pair<std::uint32_t, std::uint32_t>, ReaderPlace> places;
  for (const ReaderStep& step : history_.steps) {
    using Kind = ReaderStep::Kind;
    ReaderPlace& place = places[{step.reader, step.partition}];
    const std::string where = history_.readers[step.reader] + " at " +
                              text(step.partition, step.offset) + " (" +
                              history_.place(step.source) + ")";
    if (step.kind == Kind::open) {
      place = {step.offset, step.time};
    } else if (step.kind == Kind::skip) {
      if (place.expected != no_offset && step.offset < place.expected)
        verdict_.add(Anomaly::vanished, where +
                                            " was told that the log ends here, and had read to " +
                                            std::to_string(place.expected));
      else if (!removable(step.partition))
        verdict_.add(Anomaly::gap, where + " was told that what is before was removed");
      place.expected = step.offset;
    } else if (step.kind == Kind::damaged) {
      verdict_.add(Anomaly::damaged,
                   where + " was told of damage up to " + std::to_string(step.end));
      place.expected = step.end;
    } else if (step.kind == Kind::read || step.kind == Kind::bad) {
      if (place.expected != no_offset && step.offset > place.expected)
        verdict_.add(Anomaly::gap, where + " was not given [" + std::to_string(place.expected) +
                                       ", " + std::to_string(step.offset) + ")");
      if (place.expected != no_offset && step.offset < place.expected)
        verdict_.add(Anomaly::nonmonotonic_poll,
                     where + " had read to " + std::to_string(place.expected));
      const Rising::Told* start = starts[step.partition].before(place.opened);
      if (start != nullptr && step.offset < start->value)
        verdict_.add(Anomaly::resurrected, where + ": the start was told as " +
                                               std::to_string(start->value) + " before (" +
                                               history_.place(start->source) + ")");
      place.expected = step.offset + (step.kind == Kind::bad ? 1 : step.events.count);
    }
  }
}

void Checker::check_bounds() {
  std::vector<Rising> starts = starts_of(history_);
  std::vector<Rising> ends(history_.partitions.size());
  for (const Bounds& bounds : history_.bounds)
    ends[bounds.partition].add(bounds.answered, bounds.end, bounds.source);
  for (const ReaderStep& step : history_.steps)
    if (step.kind == ReaderStep::Kind::read)
      ends[step.partition].add(step.time, step.offset + step.events.count, step.source);
  for (const Completion& ok : history_.completions) {
    if (ok.outcome != Outcome::ok || ok.offset == no_offset) continue;
    const EventName event{ok.session, static_cast<std::uint32_t>(ok.events.first)};
    ends[history_.sends[fate(event)->send].partition].add(ok.time, ok.offset + ok.events.count,
                                                          ok.source);
  }
  for (Rising& rising : ends) rising.finish();
  for (const Bounds& bounds : history_.bounds) {
    const auto report = [&](Anomaly kind, const char* what, std::uint64_t now,
                            const Rising::Told* before) {
      if (before == nullptr || now >= before->value) return;
      verdict_.add(kind, history_.partitions[bounds.partition].name + ": " + what + " " +
                             std::to_string(now) + " told at " + history_.place(bounds.source) +
                             ", after " + std::to_string(before->value) + " at " +
                             history_.place(before->source));
    };
    report(Anomaly::end_went_back, "end", bounds.end, ends[bounds.partition].before(bounds.asked));
    report(Anomaly::start_went_back, "start", bounds.start,
           starts[bounds.partition].before(bounds.asked));
  }
}

// After the answer storage_error a partition takes nothing until the broker was restarted.
void Checker::check_failed_partitions() {
  std::vector<std::int64_t> ends = history_.broker_ends;
  std::sort(ends.begin(), ends.end());
  std::vector<std::vector<std::int64_t>> failures(history_.partitions.size());
  const auto send_of = [&](const Completion& completion, std::uint64_t i) -> const Send& {
    const EventName event{completion.session,
                          static_cast<std::uint32_t>(completion.events.first + i)};
    return history_.sends[fate(event)->send];
  };
  for (const Completion& completion : history_.completions) {
    if (completion.why != "storage_error") continue;
    const Send& send = send_of(completion, 0);
    // An answer may be heard after the broker that gave it has ended: then it says nothing of the
    // next.
    const auto end = std::upper_bound(ends.begin(), ends.end(), send.time);
    if (end == ends.end() || *end > completion.time)
      failures[send.partition].push_back(completion.time);
  }
  for (std::vector<std::int64_t>& times : failures) std::sort(times.begin(), times.end());
  for (const Completion& ok : history_.completions) {
    if (ok.outcome != Outcome::ok) continue;
    const Send& send = send_of(ok, 0);
    const std::vector<std::int64_t>& times = failures[send.partition];
    auto failure = std::lower_bound(times.begin(), times.end(), send.time);
    if (failure == times.begin()) continue;
    --failure;
    const auto restart = std::upper_bound(ends.begin(), ends.end(), *failure);
    if (restart == ends.end() || ok.time < *restart)
      verdict_.add(Anomaly::ack_after_failure,
                   text(EventName{ok.session, static_cast<std::uint32_t>(ok.events.first)}) +
                       " was acked at " + history_.place(ok.source) + " by " +
                       history_.partitions[send.partition].name +
                       ", whose disk had failed, without a restart");
  }
}

}  // namespace history
