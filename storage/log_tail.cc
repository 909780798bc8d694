#include "storage/log_tail.h"

#include "storage/base/call_last.h"
#include "storage/base/check.h"
#include "storage/log_files.h"

#include <algorithm>
#include <utility>

namespace millrace {

namespace {

// At a multiple of 8 bytes, the last of them with the zeros that will lie behind. No branch and no
// comparison in the loop: every compiler makes vectors of it, also for processors that cannot
// compare 64 bits. The top bit of (d - 1) & ~d is set for 0 alone.
bool has_word(ByteView bytes, std::uint64_t word) {
  std::uint64_t found = 0;
  for (std::size_t at = 0; at + 8 <= bytes.size(); at += 8) {
    const std::uint64_t difference = load_le<std::uint64_t>(bytes.data() + at) ^ word;
    found |= (difference - 1) & ~difference;
  }
  const ByteView rest = bytes.subspan(align_down(bytes.size(), 8));
  std::byte last[8] = {};
  std::copy(rest.begin(), rest.end(), last);
  return found >> 63 != 0 || load_le<std::uint64_t>(last) == word;
}

}  // namespace

LogTail::LogTail(const LogEnvironment& environment, const LogIdentity& identity,
                 const LogOptions& options, LogState& state, TailCache& cache, Owner& owner)
    : environment_(environment),
      identity_(identity),
      options_(options),
      state_(state),
      cache_(cache),
      owner_(owner),
      tail_cut_(environment.disk, environment.slabs),
      close_io_(this, Completion::to<&LogTail::on_closed, LogTail>()) {}

// -- life
// ----------------------------------------------------------------------------------------------

void LogTail::resume(FileId file, const SegmentWriter::Resume& place) {
  writer_ = make_writer(state_.segments.back()->header, place);
  writer_->attach(file, place.file_bytes);
}

bool LogTail::idle() const {
  return !create_ && seals_.empty() && !tail_cut_.busy() && !close_io_.in_flight() &&
         (!writer_ || writer_->idle()) && (!sealing_ || sealing_->idle());
}

void LogTail::close(std::function<void()> done) {
  CHECK(idle(), "an idle tail is closed");
  closed_ = std::move(done);
  if (writer_) {
    state_.last_crc = writer_->durable_crc();
    state_.segments.back()->active = false;
    state_.segments.back()->sealed_at = state_.stamp_time(environment_.clock.wall());
    if (!writer_->attached()) state_.segments.pop_back();
  }
  close_next();
}

void LogTail::close_next() {
  for (auto* writer : {&sealing_, &writer_}) {
    if (!*writer) continue;
    const FileId file = (*writer)->file();
    writer->reset();
    if (file.is_open()) return environment_.disk.close(close_io_, file);
  }
  call_last(closed_);
}

// -- trip one, down
// ----------------------------------------------------------------------------------------------

std::uint64_t LogTail::staged_bytes() const {
  return (sealing_ ? sealing_->staged_bytes() : 0) + (writer_ ? writer_->staged_bytes() : 0);
}

bool LogTail::fits_segment(const BatchHeader& batch) const {
  if (!writer_) return true;
  // The largest batch may have been set higher since the segment was made.
  // An empty one takes any batch: the next would have the same base, and the same file.
  if (writer_->staged_position() == segment_layout::first_batch_position) return true;
  const std::uint32_t told = writer_->header().batch_bytes_max;
  return writer_->has_room(batch.padded_bytes()) && (told == 0 || batch.batch_bytes() <= told);
}

bool LogTail::is_old(WallTime now) const {
  if (!writer_) return false;
  const bool empty = writer_->staged_position() == segment_layout::first_batch_position;
  return !empty && options_.segment_age.ns != 0 &&
         now.ns - writer_->header().created.ns > options_.segment_age.ns;
}

// Whether its producer put the segment's id, which every consumer is told, where a header could
// have it: in the body, or in its own header, where the end of the body before could make it one.
// Looking behind damage, recovery would take what stands there for a batch of the segment. The id
// of a new one is known to nobody yet.
bool LogTail::names_segment(const BatchView& batch) const {
  if (!writer_ || writer_->staged_position() == segment_layout::first_batch_position) return false;
  const std::uint64_t id = writer_->header().segment_id;
  // From its own id on, the broker writes the header.
  return has_word(batch.bytes().first(batch_layout::segment_id_at), id) ||
         has_word(batch.body(), id);
}

Result<OffsetRange> LogTail::append(const BatchView& batch) {
  const WallTime now = state_.stamp_time(environment_.clock.wall());
  if (!fits_segment(batch.header()) || is_old(now) || names_segment(batch)) {
    if (sealing_) return fail(Errc::overloaded, "two segments wait for the disk already");
    roll(now);
  }
  if (!writer_) begin_segment(now);
  const Position at = writer_->staged_position();
  auto stamped = writer_->stage(batch, LeaderEpoch{0}, now);
  if (!stamped) return fail(stamped.error());
  state_.segments.back()->index.note(*stamped, Position{stamped->position},
                                     options_.index_interval_bytes);
  CHECK(stamped->position >= at.value, "batches follow each other");
  state_.producers.note(*stamped);
  state_.last_append_time = now;
  state_.appended_end = stamped->end_offset();
  return stamped->range();
}

// In memory it takes batches at once; its file is made when the one before is durable.
void LogTail::begin_segment(WallTime now) {
  auto segment = std::make_shared<Segment>();
  segment->header = next_header(now);
  segment->path = join_path(identity_.directory, segment_file_name(segment->header.base_offset));
  segment->end_offset = segment->header.base_offset;
  segment->end_position = segment_layout::first_batch_position;
  segment->active = true;
  segment->index_whole = true;
  SegmentWriter::Resume fresh;
  fresh.end = segment->header.base_offset;
  fresh.last_crc = segment->header.previous_crc;
  writer_ = make_writer(segment->header, fresh);
  if (!state_.segments.empty()) state_.segments.back()->sealed_at = now;
  state_.segments.push_back(std::move(segment));
}

SegmentHeader LogTail::next_header(WallTime now) const {
  SegmentHeader header;
  header.cluster_id = identity_.cluster_id;
  header.topic_id = identity_.topic_id;
  header.partition = identity_.partition;
  header.topic_name = identity_.topic_name;
  header.batch_bytes_max = options_.batch_bytes_max;
  header.base_offset = state_.appended_end;
  header.created = now;
  do {
    header.segment_id = environment_.random.next();
  } while (header.segment_id == 0);
  if (!state_.segments.empty()) {
    header.previous_segment_id = state_.segments.back()->header.segment_id;
    header.previous_base_offset = state_.segments.back()->base();
  }
  header.previous_crc = sealing_ ? sealing_->last_crc() : state_.last_crc;
  return header;
}

std::unique_ptr<SegmentWriter> LogTail::make_writer(const SegmentHeader& header,
                                                    const SegmentWriter::Resume& place) {
  return std::make_unique<SegmentWriter>(environment_.disk, cache_, header, place, options_,
                                         [this](auto result) { on_commit(result); });
}

void LogTail::flush() {
  if (is_taking_back() || !state_.refusal.empty() || create_) return;
  // While a write is in flight the owner is asked nothing: what it does so that one more may begin
  // can fail like the write, and the log takes back one thing at a time.
  if (const SegmentWriter* writer = oldest(); writer != nullptr && writer->writing()) return;
  if (sealing_) {
    if (!may_commit(*sealing_)) return;
    if (!sealing_->attached()) return create_if_wanted(*sealing_);
    sealing_->flush();
    if (!sealing_->all_durable() || !sealing_->idle()) return;
    finish_sealing();
  }
  if (!writer_ || !may_commit(*writer_)) return;
  if (!writer_->attached()) return create_if_wanted(*writer_);
  writer_->flush();
}

bool LogTail::may_commit(const SegmentWriter& writer) {
  return writer.all_durable() || owner_.may_commit();
}

void LogTail::create_if_wanted(const SegmentWriter& writer) {
  if (!writer.all_durable()) start_create(writer, SegmentCreate::Take::recycled_or_fresh);
}

void LogTail::start_create(const SegmentWriter& writer, SegmentCreate::Take take) {
  SegmentHeader header = writer.header();
  // Until the first batch comes, the longest one may be set higher.
  if (take == SegmentCreate::Take::fresh) header.batch_bytes_max = 0;
  create_ = std::make_unique<SegmentCreate>(
      environment_.disk, environment_.slabs, environment_.segment_pool, identity_.directory,
      std::move(header), take, [this](auto made) { on_created(std::move(made)); });
  create_->start();
}

// -- trip one, up
// ----------------------------------------------------------------------------------------------

void LogTail::on_created(Result<SegmentCreate::Made> made) {
  create_.reset();
  if (!made) {
    owner_.on_write_failed(made.error());
    return owner_.on_ended();
  }
  oldest()->attach(made->file, made->file_bytes);
  owner_.on_segment_made();
  flush();
  owner_.on_ended();
}

void LogTail::on_commit(const Result<void>& result) {
  if (!result) {
    owner_.on_write_failed(result.error());
  } else {
    advance_durable();
    if (is_taking_back()) cut();
    flush();
  }
  owner_.on_ended();
}

void LogTail::advance_durable() {
  const SegmentWriter& writer = *oldest();
  if (writer.durable_end() <= state_.durable_end) return;
  const Offset before = std::exchange(state_.durable_end, writer.durable_end());
  // segments: [..., finishing, takes appends]
  Segment& segment = *state_.segments[state_.segments.size() - (sealing_ ? 2 : 1)];
  const std::uint64_t bytes = writer.durable_position() - segment.end_position;
  segment.end_offset = state_.durable_end;
  segment.end_position = writer.durable_position();
  const std::vector<Buffer> batches = cache_.batches(before, state_.durable_end);
  cache_.set_durable(state_.durable_end);
  owner_.on_committed(batches, bytes);
}

void LogTail::finish_sealing() {
  const SegmentRef segment = state_.segments[state_.segments.size() - 2];
  segment->active = false;
  segment->end_offset = sealing_->durable_end();
  segment->end_position = sealing_->durable_position();
  state_.last_crc = sealing_->durable_crc();
  IndexFile index;
  index.segment_id = segment->header.segment_id;
  index.base_offset = segment->base();
  // A partial index is written so that it is rebuilt on its first use.
  index.end_offset = segment->index_whole ? segment->end_offset : segment->base();
  index.end_position = segment->end_position;
  index.last_append_time = segment->sealed_at;
  index.last_crc = state_.last_crc;
  index.entries = segment->index.entries();
  const FileId file = sealing_->file();
  sealing_.reset();
  seal(segment, file, std::move(index));
}

void LogTail::seal(const SegmentRef& segment, FileId file, IndexFile index) {
  auto& place = seals_.emplace_back();
  place = std::make_unique<SegmentSeal>(
      environment_.disk, environment_.slabs, environment_.segment_pool, segment, file,
      join_path(identity_.directory, index_file_name(segment->base())), std::move(index),
      [this, at = &place] {
        seals_.remove_if([&](const auto& seal) { return &seal == at; });
        owner_.on_ended();
      });
  place->start();
}

// -- after a failed write
// ----------------------------------------------------------------------------------------------

void LogTail::take_back(TailCut::Done done) {
  CHECK(!is_taking_back(), "one thing at a time");
  // What failed has ended, and nothing begins beside a creation, a write, or a wait for may_commit.
  // So the writers below are not replaced under a creation, and no write fails during the cut.
  CHECK(!create_ && (!oldest() || !oldest()->writing()), "nothing is written any more");
  taken_back_ = std::move(done);
  cut();
}

void LogTail::cut() {
  if (tail_cut_.busy()) return;
  const SegmentWriter* writer = oldest();
  if (writer == nullptr || !writer->attached()) return on_cut({});
  if (!writer->idle()) return;  // its preallocation ends first, and calls on_commit
  tail_cut_.start(writer->file(), writer->durable_position(), [this](auto outcome) {
    on_cut(outcome);
    owner_.on_ended();
  });
}

void LogTail::on_cut(const Result<void>& outcome) {
  if (outcome) reset_to_durable();
  const TailCut::Done done = std::exchange(taken_back_, nullptr);
  done(outcome);
}

void LogTail::reset_to_durable() {
  cache_.drop_from(state_.durable_end);
  state_.producers.truncate(state_.durable_end);
  state_.appended_end = state_.durable_end;
  // A successor that has no file yet was never there.
  if (sealing_) {
    writer_ = std::move(sealing_);
    state_.segments.pop_back();
    state_.segments.back()->sealed_at = {};
  }
  if (!writer_) return;
  if (!writer_->attached()) {
    state_.last_crc = writer_->durable_crc();
    writer_.reset();
    state_.segments.pop_back();
    if (!state_.segments.empty()) state_.segments.back()->sealed_at = {};
    return;
  }
  Segment& segment = *state_.segments.back();
  std::vector<IndexEntry> entries = segment.index.entries();
  while (!entries.empty() && entries.back().offset >= state_.durable_end) entries.pop_back();
  segment.index.assign(std::move(entries));
  const FileId file = writer_->file();
  const SegmentWriter::Resume place{writer_->durable_position(), state_.durable_end,
                                    writer_->durable_crc(), writer_->durable_position().value};
  writer_ = make_writer(segment.header, place);
  writer_->attach(file, place.file_bytes);
}

// -- care
// ----------------------------------------------------------------------------------------------

std::size_t LogTail::without_file() const {
  const auto lacks = [](const auto& writer) { return writer && !writer->attached() ? 1u : 0u; };
  return lacks(sealing_) + lacks(writer_);
}

void LogTail::make_file() {
  if (create_ || sealing_ || is_taking_back() || !state_.refusal.empty()) return;
  if (!writer_) begin_segment(state_.stamp_time(environment_.clock.wall()));
  if (writer_->attached() || !writer_->all_durable()) return;
  start_create(*writer_, SegmentCreate::Take::fresh);
}

// Whether the segment that takes appends has batches, all of them durable, and may be sealed.
bool LogTail::is_quiet() const {
  return writer_ && !sealing_ && writer_->attached() && writer_->all_durable() &&
         writer_->staged_position() != segment_layout::first_batch_position &&
         state_.refusal.empty() && !is_taking_back();
}

void LogTail::seal_if_old() {
  const WallTime wall = environment_.clock.wall();
  if (!is_quiet() || !(is_old(wall) || !writer_->has_room(0))) return;
  roll(state_.stamp_time(wall));
  flush();
}

void LogTail::seal_if_quiet() {
  if (!is_quiet()) return;
  roll(state_.stamp_time(environment_.clock.wall()));
  flush();
}

void LogTail::roll(WallTime now) {
  writer_->finish();
  sealing_ = std::move(writer_);
  begin_segment(now);
}

bool LogTail::is_sealing(const SegmentRef& segment) const {
  return std::any_of(seals_.begin(), seals_.end(),
                     [&](const auto& seal) { return seal->segment() == segment; });
}

std::optional<LogTail::Place> LogTail::durable_place() const {
  if (const SegmentWriter* writer = oldest(); writer != nullptr && writer->attached())
    return Place{writer->header().base_offset, writer->header().segment_id,
                 writer->durable_position(), writer->durable_crc()};
  // A successor whose file is not there yet is nothing to name.
  if (state_.segments.size() <= without_file()) return std::nullopt;
  const Segment& last = *state_.segments[state_.segments.size() - 1 - without_file()];
  if (!last.readable) return std::nullopt;
  // Fenced at its end, or left as it was found, it is looked at again from its start, and never
  // appended to.
  const bool again = last.left_as_it_is || state_.corrupt.reaches(state_.durable_end);
  return Place{last.base(), last.header.segment_id, again ? Position{0} : last.end_position,
               state_.last_crc};
}

}  // namespace millrace
