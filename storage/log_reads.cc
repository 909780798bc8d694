#include "storage/log_reads.h"

#include "storage/log_files.h"
#include "storage/segment_read.h"
#include "storage/time_search.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

namespace millrace {

namespace {

Error paused_error() { return {Errc::shutting_down, "the log is being closed or cut"}; }

// Between a read in flight and the caller's handle on it: shared, because either may die first.
struct Slot {
  bool cancelled = false;
};

}  // namespace

class LogReads::Handle final : public LogRead {
 public:
  explicit Handle(std::shared_ptr<Slot> slot) : slot_(std::move(slot)) {}
  ~Handle() override { slot_->cancelled = true; }

 private:
  std::shared_ptr<Slot> slot_;
};

// One of the two operations, or none: an answer that is there and waits for its turn.
struct LogReads::Entry {
  std::unique_ptr<SegmentRead> read;
  std::unique_ptr<TimeSearch> search;
  std::shared_ptr<Slot> slot = std::make_shared<Slot>();
  std::list<Entry>::iterator self;
};

LogReads::LogReads(const LogEnvironment& environment, const LogIdentity& identity,
                   const LogOptions& options, LogState& state, const TailCache& cache,
                   DeferredCalls& deferred, std::function<void()> on_ended)
    : environment_(environment),
      identity_(identity),
      options_(options),
      state_(state),
      cache_(cache),
      deferred_(deferred),
      on_ended_(std::move(on_ended)) {}

LogReads::~LogReads() = default;

Result<void> LogReads::check_place(Offset from) const {
  if (paused_) return fail(paused_error());
  if (from < state_.start_offset || from > state_.durable_end)
    return fail(out_of_range(fmt::format("offset {} is outside [{}, {}]", from.value,
                                         state_.start_offset.value, state_.durable_end.value)));
  if (from == state_.durable_end) return {};
  if (const CorruptRange* range = state_.corrupt.at(from)) return fail(corrupt_error(*range));
  return {};
}

Result<ReadResult> LogReads::read_cached(Offset from, std::size_t bytes_max,
                                         bool& must_read) const {
  must_read = false;
  if (auto ok = check_place(from); !ok) return fail(ok.error());
  ReadResult result;
  result.next_offset = from;
  if (from == state_.durable_end) return result;
  for (auto& run : cache_.find(from, state_.durable_end, bytes_max)) {
    result.buffers.push_back(std::move(run.bytes));
    result.next_offset = run.next;
  }
  must_read = result.buffers.empty();
  return result;
}

std::unique_ptr<LogRead> LogReads::read(Offset from, std::size_t bytes_max, ReadDone done) {
  bool must_read = false;
  auto cached = read_cached(from, bytes_max, must_read);
  if (!must_read)
    return answer_later([done = std::move(done), cached = std::move(cached)] { done(cached); });
  return read_disk(from, bytes_max, std::move(done));
}

std::unique_ptr<LogRead> LogReads::verify(Offset from, std::size_t bytes_max, ReadDone done) {
  const auto placed = check_place(from);
  if (!placed || from == state_.durable_end)
    return answer_later([done = std::move(done), placed, from] {
      done(placed ? Result<ReadResult>(ReadResult{{}, from}) : fail(placed.error()));
    });
  return read_disk(from, bytes_max, std::move(done));
}

std::unique_ptr<LogRead> LogReads::read_disk(Offset from, std::size_t bytes_max, ReadDone done) {
  const SegmentRef segment = segment_of(from);
  if (!segment || !segment->readable) {
    CorruptRange range{{from, segment ? segment->end_offset : state_.durable_end},
                       identity_.directory,
                       {},
                       "no readable segment holds it"};
    return answer_later([done = std::move(done), range] { done(fail(corrupt_error(range))); });
  }
  Entry& entry = new_entry();
  auto handle = std::make_unique<Handle>(entry.slot);
  entry.read = std::make_unique<SegmentRead>(
      environment_.disk, environment_.slabs,
      SegmentRead::Plan{segment, index_path(*segment), from, readable_end(*segment), bytes_max,
                        options_.index_interval_bytes},
      [this](const SegmentRef& damaged, const auto& damage) { note_damage(*damaged, damage); },
      [this, &entry, from, done = std::move(done)](Result<ReadResult> result) {
        end_read(entry, from, std::move(result), done);
      });
  entry.read->start();
  return handle;
}

void LogReads::end_read(Entry& entry, Offset from, Result<ReadResult> result,
                        const ReadDone& done) {
  // Retention may have taken the file while it was being read.
  if (!result && from < state_.start_offset)
    result = fail(out_of_range(fmt::format("offset {} was removed; the log starts at {}",
                                           from.value, state_.start_offset.value)));
  end(entry, [&] { done(std::move(result)); });
}

std::unique_ptr<LogRead> LogReads::find_time(WallTime time, TimeDone done) {
  if (paused_) return answer_later([done = std::move(done)] { done(fail(paused_error())); });
  const SegmentRef segment = segment_of(time);
  if (!segment || segment->base() >= state_.durable_end)
    return answer_later([done = std::move(done), end = state_.durable_end] { done(end); });
  Entry& entry = new_entry();
  auto handle = std::make_unique<Handle>(entry.slot);
  entry.search = std::make_unique<TimeSearch>(
      environment_.disk, environment_.slabs,
      TimeSearch::Plan{segment, index_path(*segment), time, readable_end(*segment),
                       options_.index_interval_bytes},
      [this](const SegmentRef& damaged, const auto& damage) { note_damage(*damaged, damage); },
      [this, &entry, segment, done = std::move(done)](Result<Offset> found) {
        const Offset start = state_.start_offset;
        // Retention may have taken the file during the search: all that is left was appended later.
        if (!found && !segment->active && segment->end_offset <= start) found = start;
        if (found) found = std::clamp(*found, start, state_.durable_end);
        end(entry, [&] { done(std::move(found)); });
      });
  entry.search->start();
  return handle;
}

void LogReads::give_up() {
  for (Entry& entry : entries_) entry.slot->cancelled = true;
}

// -- entries
// ----------------------------------------------------------------------------------------------

LogReads::Entry& LogReads::new_entry() {
  Entry& entry = entries_.emplace_back();
  entry.self = std::prev(entries_.end());
  return entry;
}

std::unique_ptr<LogRead> LogReads::answer_later(std::function<void()> answer) {
  Entry& entry = new_entry();
  auto handle = std::make_unique<Handle>(entry.slot);
  deferred_.add([this, &entry, answer = std::move(answer)] { end(entry, answer); });
  return handle;
}

// The last act of an entry's operation, which goes with it. Whoever hears that it ended may close
// the log for good.
void LogReads::end(Entry& entry, const std::function<void()>& answer) {
  const auto slot = entry.slot;
  const auto on_ended = on_ended_;
  entries_.erase(entry.self);
  if (!slot->cancelled) answer();
  on_ended();
}

// -- helpers
// ----------------------------------------------------------------------------------------------

void LogReads::note_damage(const Segment& segment, const std::vector<SegmentScan::Damage>& damage) {
  state_.corrupt.note_damage(segment, damage, state_.start_offset);
}

SegmentRef LogReads::segment_of(Offset offset) const {
  const auto after = std::upper_bound(state_.segments.begin(), state_.segments.end(), offset,
                                      [](Offset o, const SegmentRef& s) { return o < s->base(); });
  return after == state_.segments.begin() ? nullptr : *std::prev(after);
}

// The last segment that began before `time` holds the answer, or its end is the answer.
SegmentRef LogReads::segment_of(WallTime time) const {
  SegmentRef segment;
  for (const SegmentRef& candidate : state_.segments)
    if (candidate->readable && (candidate->header.created < time || !segment)) segment = candidate;
  return segment;
}

Offset LogReads::readable_end(const Segment& segment) const {
  return segment.active ? state_.durable_end : std::min(segment.end_offset, state_.durable_end);
}

Error LogReads::out_of_range(std::string text) const {
  Error error{Errc::offset_out_of_range, std::move(text)};
  error.range_begin = state_.start_offset.value;
  error.range_end = state_.durable_end.value;
  return error;
}

std::string LogReads::index_path(const Segment& segment) const {
  return join_path(identity_.directory, index_file_name(segment.base()));
}

}  // namespace millrace
