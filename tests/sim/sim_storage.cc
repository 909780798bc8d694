#include "tests/sim/sim_storage.h"

#include "storage/base/check.h"

#include <algorithm>
#include <optional>

namespace millrace::sim {
namespace {

constexpr std::size_t turns_max = 200'000;
constexpr std::size_t slab_idle_bytes = 4 * MiB;

}  // namespace

LogOptions small_log_options() {
  LogOptions options;
  options.segment_bytes = 64 * KiB;
  options.segment_age = seconds(0);
  options.retention_age = seconds(0);
  options.retention_bytes = 0;
  options.batch_bytes_max = 256 * KiB;
  options.index_interval_bytes = 8 * KiB;
  options.preallocate_bytes_min = 16 * KiB;
  options.preallocate_bytes_max = 64 * KiB;
  options.staged_bytes_max = 1 * MiB;
  options.tail_cache_bytes = 256 * KiB;
  options.checkpoint_interval_bytes = 48 * KiB;
  options.checkpoint_idle = seconds(1);
  return options;
}

SimStorage::Process::Process(SimStorage& s)
    : slabs(slab_idle_bytes),
      pool(s.disk_, "pool", s.options_.pool_bytes),
      cache(s.options_.cache_bytes),
      log(std::make_unique<Log>(
          LogEnvironment{s.disk_, s.clock_, timers, slabs, s.random_, pool, cache}, s.identity_,
          s.options_.log, s)) {}

SimStorage::SimStorage(std::uint64_t seed, SimStorageOptions options)
    : random_(seed), options_(std::move(options)), disk_(random_) {
  disk_.set_latency_reaps(options_.latency_reaps);
  for (std::size_t i = 0; i < 16; ++i) {
    identity_.cluster_id.bytes[i] = static_cast<std::uint8_t>(1 + i);
    identity_.topic_id.bytes[i] = static_cast<std::uint8_t>(101 + i);
  }
  identity_.partition = 0;
  identity_.topic_name = "orders";
  identity_.directory = "topics/orders/0";
  disk_.make_path("topics/orders");
}

SimStorage::~SimStorage() {
  disk_.lift_faults();
  for (std::size_t call = 0; call < call_kinds; ++call) disk_.release(static_cast<Call>(call));
  wind_up();
}

// -- life
// -------------------------------------------------------------------------------------------------------------

Result<void> SimStorage::open() {
  CHECK(process_ == nullptr, "the log is open");
  process_ = std::make_unique<Process>(*this);
  append_error_ = {};
  commits_told_ = 0;
  Result<void> opened = life([&](Log::Done done) { process_->pool.open(std::move(done)); });
  if (opened) {
    opened = life([&](Log::Done done) {
      open_ = true;
      process_->log->open(std::move(done));
    });
  }
  if (!opened) {
    wind_up();
    return opened;
  }
  told_end_ = log().durable_end();
  return opened;
}

Result<void> SimStorage::close() {
  if (process_ == nullptr) return {};
  Result<void> closed;
  if (open_) {
    open_ = false;
    closed = life([&](Log::Done done) { process_->log->close(std::move(done)); });
    CHECK(closed || closed.error().code != Errc::timed_out, "a close always ends");
  }
  run_until([&] { return disk_.in_flight() == 0; });
  process_.reset();
  return closed;
}

void SimStorage::start_close(Log::Done done) {
  open_ = false;
  log().close(std::move(done));
}

void SimStorage::wind_up() { (void)close(); }

void SimStorage::crash(const CrashPolicy& policy) {
  if (disk_.has_power()) disk_.crash(policy);
  wind_up();
  disk_.power_on();
}

Result<void> SimStorage::crash_and_reopen(const CrashPolicy& policy) {
  crash(policy);
  return open();
}

Result<void> SimStorage::life(const std::function<void(Log::Done)>& start) {
  // Shared with the callback: whoever answers late must find something to write to.
  auto answer = std::make_shared<std::optional<Result<void>>>();
  start([answer](Result<void> result) { *answer = std::move(result); });
  CHECK(!answer->has_value(), "nothing is answered from within the call");
  if (!run_until([&] { return answer->has_value(); })) {
    return fail(Errc::timed_out, "never answered\n" + disk_.trace());
  }
  return std::move(**answer);
}

// -- verbs
// ------------------------------------------------------------------------------------------------------------

Result<OffsetRange> SimStorage::append(ByteView batch) {
  auto view = BatchView::parse(batch);
  CHECK(view.has_value(), "the test appends a whole batch");
  auto range = log().append(*view);
  if (range) append_error_ = {};  // space came back, or nothing was wrong
  return range;
}

Result<void> SimStorage::commit() {
  const Offset end = log().appended_end();
  const bool ended =
      run_until([&] { return log().durable_end() >= end || append_error_.code != Errc::ok; });
  if (append_error_.code != Errc::ok) return fail(append_error_);
  if (!ended) return fail(Errc::timed_out, "never durable\n" + disk_.trace());
  return {};
}

Result<OffsetRange> SimStorage::append_and_commit(ByteView batch) {
  auto range = append(batch);
  if (!range) return range;
  if (auto done = commit(); !done) return fail(done.error());
  return range;
}

Result<void> SimStorage::truncate(Offset end) {
  const auto done = life([&](Log::Done d) { log().truncate(end, std::move(d)); });
  told_end_ = std::min(told_end_, log().durable_end());
  return done;
}

Result<void> SimStorage::trim(Offset start) {
  return life([&](Log::Done d) { log().trim(start, std::move(d)); });
}

Result<ReadResult> SimStorage::read(Offset from, std::size_t bytes_max) {
  bool must_read = false;
  auto cached = log().read_cached(from, bytes_max, must_read);
  if (!cached || !must_read) return cached;
  return read_disk(from, bytes_max);
}

Result<ReadResult> SimStorage::read_disk(Offset from, std::size_t bytes_max) {
  auto answer = std::make_shared<std::optional<Result<ReadResult>>>();
  const auto reading = log().read(
      from, bytes_max, [answer](Result<ReadResult> result) { *answer = std::move(result); });
  CHECK(!answer->has_value(), "nothing is answered from within the call");
  if (!run_until([&] { return answer->has_value(); })) {
    return fail(Errc::timed_out, "a read was never answered\n" + disk_.trace());
  }
  return std::move(**answer);
}

Result<Offset> SimStorage::find_time(WallTime time) {
  auto answer = std::make_shared<std::optional<Result<Offset>>>();
  const auto reading =
      log().find_time(time, [answer](Result<Offset> result) { *answer = std::move(result); });
  if (!run_until([&] { return answer->has_value(); })) {
    return fail(Errc::timed_out, "a search by time was never answered\n" + disk_.trace());
  }
  return std::move(**answer);
}

Result<StoredContents> SimStorage::read_all(std::size_t bytes_max, bool from_disk) {
  StoredContents out;
  Offset at = log().start_offset();
  while (at < log().durable_end()) {
    auto piece = from_disk ? read_disk(at, bytes_max) : read(at, bytes_max);
    if (!piece) {
      const Error& error = piece.error();
      if (error.code != Errc::corrupt || error.range_end <= at.value) return fail(error);
      out.holes.push_back({Offset{error.range_begin}, Offset{error.range_end}});
      at = Offset{error.range_end};
      continue;
    }
    for (const auto& buffer : piece->buffers) {
      BatchCursor cursor(buffer.bytes());
      for (auto batch = cursor.next();; batch = cursor.next()) {
        if (!batch && batch.error().code == Errc::not_found) break;
        if (!batch) return fail(Errc::bad_batch, "a read delivered bytes that do not verify");
        out.batches.push_back({batch->header(), {batch->bytes().begin(), batch->bytes().end()}});
      }
    }
    if (piece->next_offset <= at) {
      return fail(Errc::bad_state, "a read below the durable end made no progress at offset " +
                                       std::to_string(at.value));
    }
    at = piece->next_offset;
  }
  return out;
}

// -- the turn
// ---------------------------------------------------------------------------------------------------------

void SimStorage::turn() {
  disk_.reap();
  if (process_ == nullptr) return;
  process_->timers.fire(clock_.now());
  if (open_) process_->log->flush();
}

bool SimStorage::run_until(const std::function<bool()>& condition) {
  for (std::size_t turns = 0; turns < turns_max; ++turns) {
    if (condition()) return true;
    turn();
    if (disk_.in_flight() > 0 || condition()) continue;
    const Instant deadline = process_ != nullptr ? process_->timers.next_deadline() : instant_never;
    if (deadline == instant_never) return false;
    clock_.advance_to(deadline);
  }
  return false;
}

void SimStorage::settle() {
  for (std::size_t turns = 0; turns < turns_max; ++turns) {
    turn();
    if (disk_.in_flight() == 0) return;
  }
  CHECK(false, "I/O goes on for ever");
}

void SimStorage::advance(Duration passed) {
  clock_.advance(passed);
  settle();
}

// -- heard
// ------------------------------------------------------------------------------------------------------------

void SimStorage::on_durable(Offset end, const std::vector<Buffer>& batches) {
  CHECK(append_error_.code != Errc::storage_error, "nothing is told durable after a failed write");
  // The power went in the same handler: it is true, and nobody hears it any more.
  if (!disk_.has_power()) return;
  Offset next = told_end_;
  for (const auto& buffer : batches) {
    BatchCursor cursor(buffer.bytes());
    for (auto batch = cursor.next();; batch = cursor.next()) {
      if (!batch) {
        CHECK(batch.error().code == Errc::not_found, "durable batches verify");
        break;
      }
      CHECK(batch->header().base_offset == next, "durable batches follow each other");
      next = batch->header().end_offset();
    }
  }
  CHECK(next == end, "the batches told reach up to the end told");
  told_end_ = end;
  ++commits_told_;
}

void SimStorage::on_append_failed(const Error& error) {
  CHECK(error.code != Errc::ok, "a failure has a code");
  append_error_ = error;
}

std::vector<std::string> SimStorage::files_ending(std::string_view suffix) const {
  std::vector<std::string> out;
  for (const auto& name : disk_.names(identity_.directory)) {
    if (name.ends_with(suffix)) out.push_back(name);
  }
  return out;
}

}  // namespace millrace::sim
