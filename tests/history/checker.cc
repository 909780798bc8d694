#include "tests/history/checker.h"

#include <algorithm>
#include <stdexcept>
#include <tuple>
#include <utility>

namespace history {

LogSlot& KnownLog::at(std::uint64_t offset) {
  std::unique_ptr<Page>& page = pages_[offset / page_slots];
  if (!page) page = std::make_unique<Page>();
  return (*page)[offset % page_slots];
}

const LogSlot* KnownLog::find(std::uint64_t offset) const {
  const auto page = pages_.find(offset / page_slots);
  if (page == pages_.end()) return nullptr;
  const LogSlot& slot = (*page->second)[offset % page_slots];
  return slot.event.session == none ? nullptr : &slot;
}

template <class Visit>
void KnownLog::each(Visit visit) const {
  for (const auto& [number, page] : pages_) {
    for (std::uint64_t i = 0; i < page_slots; ++i)
      if ((*page)[i].event.session != none) visit(number * page_slots + i, (*page)[i]);
  }
}

template <class Visit>
void KnownLog::each_backwards(Visit visit) const {
  for (auto page = pages_.rbegin(); page != pages_.rend(); ++page) {
    for (std::uint64_t i = page_slots; i-- > 0;)
      if ((*page->second)[i].event.session != none)
        visit(page->first * page_slots + i, (*page->second)[i]);
  }
}

Verdict Checker::check() {
  collect_events();
  find_final_readers();
  collect_log();
  check_log_events();
  check_acks();
  check_final_ranges();
  for (std::uint32_t partition = 0; partition < logs_.size(); ++partition) {
    check_session_order(partition);
    check_real_time_order(partition);
  }
  check_readers();
  check_bounds();
  check_failed_partitions();
  count_fates();
  return verdict_;
}

void Checker::collect_events() {
  events_.resize(history_.sessions.size());
  for (std::uint32_t i = 0; i < history_.sends.size(); ++i) {
    const Send& send = history_.sends[i];
    std::vector<EventFate>& session = events_[send.session];
    const std::uint64_t end = send.events.first + send.events.count;
    if (session.size() < end) session.resize(end);
    for (std::uint64_t n = send.events.first; n < end; ++n) {
      if (session[n].send != none)
        throw std::runtime_error(history_.place(send.source) + ": an event is sent twice");
      session[n].send = i;
    }
  }
  for (std::uint32_t i = 0; i < history_.completions.size(); ++i) {
    const Completion& completion = history_.completions[i];
    std::vector<EventFate>& session = events_[completion.session];
    const std::uint64_t end = completion.events.first + completion.events.count;
    for (std::uint64_t n = completion.events.first; n < end; ++n) {
      if (n >= session.size() || session[n].send == none)
        throw std::runtime_error(history_.place(completion.source) +
                                 ": an outcome of an event that was not sent");
      if (session[n].completion != none)
        throw std::runtime_error(history_.place(completion.source) + ": a second outcome");
      session[n].completion = i;
    }
  }
}

void Checker::find_final_readers() {
  final_.resize(history_.partitions.size());
  for (const ReaderStep& step : history_.steps) {
    if (step.kind != ReaderStep::Kind::final_range) continue;
    std::optional<ReaderStep>& last = final_[step.partition];
    if (!last || last->time < step.time) last = step;
  }
  std::string missing;
  for (std::uint32_t i = 0; i < final_.size(); ++i) {
    const bool deleted = history_.topics[history_.partitions[i].topic].deleted;
    if (!final_[i] && !deleted) missing += " " + history_.partitions[i].name;
  }
  if (!missing.empty()) throw std::runtime_error("no final reading of" + missing);
}

void Checker::collect_log() {
  logs_.resize(history_.partitions.size());
  for (const ReaderStep& step : history_.steps) {
    if (step.kind == ReaderStep::Kind::bad)
      verdict_.add(Anomaly::corrupt_value,
                   text(step.partition, step.offset) + " read at " + history_.place(step.source));
    if (step.kind != ReaderStep::Kind::read) continue;
    const std::optional<ReaderStep>& last = final_[step.partition];
    const bool is_final = last && last->reader == step.reader;
    verdict_.tally.read += step.events.count;
    if (is_final) verdict_.tally.final_read += step.events.count;
    for (std::uint64_t i = 0; i < step.events.count; ++i) {
      note(step.partition, step.offset + i,
           {step.session, static_cast<std::uint32_t>(step.events.first + i)}, step.source);
      LogSlot& slot = logs_[step.partition].at(step.offset + i);
      slot.read = true;
      slot.final = slot.final || is_final;
    }
  }
  for (const Completion& ok : history_.completions) {
    if (ok.outcome != Outcome::ok || ok.offset == no_offset) continue;
    for (std::uint64_t i = 0; i < ok.events.count; ++i) {
      const EventName event{ok.session, static_cast<std::uint32_t>(ok.events.first + i)};
      note(history_.sends[fate(event)->send].partition, ok.offset + i, event, ok.source);
    }
  }
}

// G2. The first that tells what an offset holds is believed.
void Checker::note(std::uint32_t partition, std::uint64_t offset, EventName event, Source source) {
  LogSlot& slot = logs_[partition].at(offset);
  if (slot.event.session == none) {
    slot.event = event;
    slot.source = source;
  } else if (slot.event != event) {
    verdict_.add(Anomaly::inconsistent_offset, text(partition, offset) + " is " + text(slot.event) +
                                                   " at " + history_.place(slot.source) + " and " +
                                                   text(event) + " at " + history_.place(source));
  }
}

// Each event that was read: sent by somebody, to here, not refused, and at one offset.
void Checker::check_log_events() {
  for (std::uint32_t partition = 0; partition < logs_.size(); ++partition) {
    logs_[partition].each([&](std::uint64_t offset, const LogSlot& slot) {
      if (!slot.read) return;
      const auto report = [&](Anomaly kind, const std::string& what) {
        verdict_.add(kind, text(slot.event) + " read at " + text(partition, offset) + " (" +
                               history_.place(slot.source) + ") " + what);
      };
      const EventFate* found = fate(slot.event);
      if (found == nullptr) return report(Anomaly::phantom, "was sent by nobody");
      const Send& send = history_.sends[found->send];
      if (send.partition != partition)
        return report(Anomaly::phantom, "was sent to " + history_.partitions[send.partition].name);
      if (found->completion != none &&
          history_.completions[found->completion].outcome == Outcome::failed)
        report(Anomaly::aborted_read,
               "was surely not stored: " +
                   history_.place(history_.completions[found->completion].source));
      EventFate& fate = events_[slot.event.session][slot.event.number];
      if (fate.place != no_offset)
        return report(Anomaly::duplicate, "and at " + text(partition, fate.place));
      fate.place = offset;
    });
  }
}

// G1
void Checker::check_acks() {
  for (const Completion& completion : history_.completions) {
    if (completion.outcome != Outcome::ok) continue;
    verdict_.tally.acked += completion.events.count;
    for (std::uint64_t i = 0; i < completion.events.count; ++i) check_ack(completion, i);
  }
}

void Checker::check_ack(const Completion& completion, std::uint64_t i) {
  const EventName event{completion.session,
                        static_cast<std::uint32_t>(completion.events.first + i)};
  const EventFate& known = *fate(event);
  const std::uint32_t partition = history_.sends[known.send].partition;
  const std::optional<ReaderStep>& last = final_[partition];
  if (history_.topics[history_.partitions[partition].topic].deleted || !last) {
    ++verdict_.tally.acked_removed;
    return;
  }
  const bool told = completion.offset != no_offset;
  const std::uint64_t offset = told ? completion.offset + i : known.place;
  const auto lost = [&](const std::string& what) {
    verdict_.add(Anomaly::lost_write, text(event) + " acked" +
                                          (told ? " at " + text(partition, offset) : "") + " (" +
                                          history_.place(completion.source) + ") " + what);
  };
  if (offset == no_offset) {
    if (!removable(partition) || last->offset == 0) return lost("is nowhere");
    ++verdict_.tally.acked_removed;
    return;
  }
  if (offset < last->offset) {
    if (!removable(partition)) return lost("is below the log's start, and nothing removes events");
    ++verdict_.tally.acked_removed;
    return;
  }
  const LogSlot* slot = logs_[partition].find(offset);
  if (offset >= last->end) return lost("is behind the log's end, " + std::to_string(last->end));
  if (slot == nullptr || !slot->final) return lost("is in a hole of the final reading");
  if (slot->event != event) {
    // Read elsewhere, it is not lost, and note() has told of its two offsets.
    if (known.place == no_offset) lost("is not there: " + text(slot->event) + " is");
    return;
  }
  ++verdict_.tally.acked_found;
}

// G3, G6: the final reading has all its offsets, and all that was ever read.
void Checker::check_final_ranges() {
  for (std::uint32_t partition = 0; partition < logs_.size(); ++partition) {
    const std::optional<ReaderStep>& last = final_[partition];
    if (!last) continue;
    std::uint64_t expected = last->offset;
    const auto hole = [&](std::uint64_t end) {
      if (end > expected)
        verdict_.add(Anomaly::gap,
                     "the final reading has nothing in [" + std::to_string(expected) + ", " +
                         std::to_string(end) + ") of " + history_.partitions[partition].name,
                     end - expected);
    };
    logs_[partition].each([&](std::uint64_t offset, const LogSlot& slot) {
      if (slot.final && offset < last->end) {
        hole(offset);
        expected = std::max(expected, offset + 1);
      } else if (slot.read && offset >= last->offset) {
        verdict_.add(Anomaly::vanished,
                     text(slot.event) + " was read at " + text(partition, offset) + " (" +
                         history_.place(slot.source) + ") and is not there in the end");
      }
    });
    hole(last->end);
  }
}

// G3: what one session sent, in the order in which it sent.
void Checker::check_session_order(std::uint32_t partition) {
  std::vector<std::pair<std::uint64_t, std::uint64_t>> last(events_.size(), {0, no_offset});
  logs_[partition].each([&](std::uint64_t offset, const LogSlot& slot) {
    if (!slot.read || fate(slot.event) == nullptr) return;
    auto& [number, place] = last[slot.event.session];
    if (place != no_offset && slot.event.number < number)
      verdict_.add(Anomaly::reordered,
                   text(slot.event) + " lies at " + text(partition, offset) + ", behind " +
                       text({slot.event.session, static_cast<std::uint32_t>(number)}) + " at " +
                       std::to_string(place));
    number = slot.event.number;
    place = offset;
  });
}

// G3: what was acked before something else was sent lies before it.
void Checker::check_real_time_order(std::uint32_t partition) {
  std::int64_t earliest_ack = INT64_MAX;  // of all that lies further back
  EventName acked;
  logs_[partition].each_backwards([&](std::uint64_t offset, const LogSlot& slot) {
    const EventFate* known = fate(slot.event);
    if (!slot.read || known == nullptr) return;
    if (history_.sends[known->send].time > earliest_ack)
      verdict_.add(Anomaly::reordered, text(slot.event) + " at " + text(partition, offset) +
                                           " was sent after " + text(acked) +
                                           " had been acked, and lies before it");
    if (known->completion == none) return;
    const Completion& completion = history_.completions[known->completion];
    if (completion.outcome != Outcome::ok || completion.time >= earliest_ack) return;
    earliest_ack = completion.time;
    acked = slot.event;
  });
}

void Checker::count_fates() {
  verdict_.tally.journals = history_.files.size();
  verdict_.tally.sessions = history_.sessions.size();
  verdict_.tally.partitions = history_.partitions.size();
  for (const std::vector<EventFate>& session : events_) {
    for (const EventFate& event : session) {
      if (event.send == none) continue;
      ++verdict_.tally.sent;
      const Outcome outcome =
          event.completion == none ? Outcome::open : history_.completions[event.completion].outcome;
      if (outcome == Outcome::failed) ++verdict_.tally.failed;
      if (outcome != Outcome::open && outcome != Outcome::unknown) continue;
      ++verdict_.tally.unknown;
      if (event.place != no_offset) ++verdict_.tally.unknown_found;
    }
  }
}

const EventFate* Checker::fate(EventName event) const {
  if (event.session >= events_.size()) return nullptr;
  const std::vector<EventFate>& session = events_[event.session];
  if (event.number >= session.size() || session[event.number].send == none) return nullptr;
  return &session[event.number];
}

bool Checker::removable(std::uint32_t partition) const {
  return history_.topics[history_.partitions[partition].topic].removable ||
         history_.trimmed[partition];
}

std::string Checker::text(EventName event) const {
  return std::to_string(history_.sessions[event.session]) + ":" + std::to_string(event.number);
}

std::string Checker::text(std::uint32_t partition, std::uint64_t offset) const {
  return history_.partitions[partition].name + " offset " + std::to_string(offset);
}

}  // namespace history
