#include "tests/enumerate/log_machine.h"

#include "storage/format/segment_layout.h"

#include <algorithm>

namespace millrace::test {
namespace {

constexpr int restarts_max = 6;
constexpr int tries_max = 6;
// In the header of a segment's first batch.
constexpr std::uint64_t lie_at = segment_layout::first_batch_position.value + 20;

// Small everything, so that a few batches roll, retire and recycle segments.
sim::SimStorageOptions machine_options() {
  sim::SimStorageOptions options{.log = sim::small_log_options()};
  options.log.segment_bytes = 32 * KiB;
  options.log.preallocate_bytes_min = 8 * KiB;
  options.log.preallocate_bytes_max = 16 * KiB;
  options.log.retention_bytes = 72 * KiB;
  options.log.checkpoint_interval_bytes = 16 * KiB;
  options.log.index_interval_bytes = 4 * KiB;
  options.log.tail_cache_bytes = 64 * KiB;
  options.pool_bytes = 96 * KiB;
  options.cache_bytes = 64 * KiB;
  return options;
}

bool passes_by_itself(Errc code) { return code == Errc::storage_full || code == Errc::overloaded; }

std::string text_of(const Result<void>& result) {
  return result ? std::string("ok") : result.error().to_string();
}

}  // namespace

LogMachine::LogMachine(std::uint64_t seed, Script script)
    : script_(script), storage_(seed, machine_options()) {}

std::unique_ptr<Machine> LogMachine::fork(std::uint64_t seed, sim::SimImage image) const {
  auto machine = std::make_unique<LogMachine>(seed, script_);
  machine->promises_ = promises_;
  machine->appended_ = appended_;
  const Instant now = const_cast<LogMachine*>(this)->storage_.clock().now();
  machine->storage_.clock().advance_to(now);
  machine->disk().adopt(std::move(image));
  machine->lied_about_ = lied_about_;
  machine->stop_lying();
  return machine;
}

void LogMachine::require(bool condition, const std::string& what) {
  if (!condition) throw Broken(what + "\nlast operations:\n" + disk().trace());
}

// -- life
// -------------------------------------------------------------------------------------------------

Result<void> LogMachine::start() {
  auto opened = storage_.open();
  if (!opened || lost()) return opened;
  // Damage that a fault made appear is checked by whoever lifts the faults.
  if (!wants_restart()) look();
  return opened;
}

void LogMachine::open() {
  if (lost() || is_open()) return;
  auto opened = start();
  if (lost()) return;
  for (int tries = 1; tolerant_ && !opened && tries < tries_max && !lost(); ++tries)
    opened = start();
  require(opened.has_value() || tolerant_, "open: " + text_of(opened));
  if (opened && !wants_restart()) adopt();
  // Fenced because of a fault: it is whole again after the next start.
  if (tolerant_ && opened && wants_restart()) restart();
}

void LogMachine::close() {
  if (idle()) return;
  if (before_stop) before_stop();
  note();
  const auto closed = storage_.close();
  require(lost() || closed || tolerant_, "close: " + text_of(closed));
}

void LogMachine::restart() {
  if (idle() || ++restarts_ > restarts_max) return;
  close();
  open();
}

void LogMachine::lose_power(const sim::CrashPolicy& policy) {
  note();
  storage_.crash(policy);
}

bool LogMachine::wants_restart() {
  return is_open() &&
         (!storage_.log().refusal().empty() || !storage_.log().corrupt_ranges().empty());
}

// -- verbs
// ------------------------------------------------------------------------------------------------

void LogMachine::put(std::size_t batch_bytes, int count) {
  for (int i = 0; i < count; ++i) {
    append(make_batch_of_bytes(batch_bytes, static_cast<char>('a' + appended_ % 26)));
    commit();
  }
}

void LogMachine::put_together(std::size_t batch_bytes, int count) {
  for (int i = 0; i < count; ++i)
    append(make_batch_of_bytes(batch_bytes, static_cast<char>('a' + appended_ % 26)));
  commit();
}

void LogMachine::start_commit(std::size_t batch_bytes, int count) {
  for (int i = 0; i < count; ++i)
    append(make_batch_of_bytes(batch_bytes, static_cast<char>('a' + appended_ % 26)));
  // What a commit waits for comes first.
  const auto writes = [](const sim::SimDisk::Flying& flying) {
    return flying.call == sim::Call::synced_write && !flying.path.ends_with("checkpoint");
  };
  for (int turns = 0; turns < 20 && !idle(); ++turns) {
    storage_.turn();
    if (std::ranges::any_of(disk().flying(), writes)) return;
  }
}

void LogMachine::send(std::uint64_t producer, std::uint64_t sequence) {
  append(make_batch("p" + std::to_string(producer) + "/" + std::to_string(sequence),
                    {producer, 0, sequence}));
  commit();
}

void LogMachine::append(const Bytes& batch) {
  if (idle()) return;
  Errc refused = Errc::ok;
  const auto try_once = [&] {
    if (storage_.append_error().code != Errc::ok) refused = storage_.append_error().code;
    return storage_.append(batch);
  };
  auto range = try_once();
  for (int turns = 0; !range && range.error().code == Errc::overloaded && turns < 200; ++turns) {
    storage_.turn();  // two segments wait for the disk
    range = try_once();
  }
  for (int tries = 0; tolerant_ && !range && tries < tries_max && !lost(); ++tries) {
    passes_by_itself(range.error().code) ? wait(seconds(1)) : restart();
    if (idle()) return;
    range = try_once();
  }
  // A refusal that came while we waited is about those before this one.
  if (refused != Errc::ok) after_refusal(refused);
  if (!range && (lost() || tolerant_)) return;
  require(range.has_value(), "append: " + (range ? "" : range.error().to_string()));
  ++appended_;
  promises_.batches.push_back({*range, batch});
}

void LogMachine::commit() {
  if (idle()) return;
  const auto committed = storage_.commit();
  if (lost()) return;
  require(committed || tolerant_, "commit: " + text_of(committed));
  note();
  if (!committed) after_refusal(storage_.append_error().code);
}

// What was refused for want of space was cut off before anybody was told, and is never there. Of
// what a failed write had begun, the fate is unknown.
void LogMachine::after_refusal(Errc code) {
  note();
  require(code != Errc::ok, "neither acked nor refused");
  if (passes_by_itself(code)) cut_promises(promises_.acked_end);
}

void LogMachine::trim(Offset start) {
  if (idle()) return;
  const auto done = storage_.trim(start);
  if (lost()) return;
  require(done || tolerant_, "trim: " + text_of(done));
  require(!done || storage_.log().start_offset() >= std::min(start, end()), "a trim did nothing");
  look();
}

void LogMachine::truncate(Offset end) {
  if (idle()) return;
  note();
  promises_.cut = end;
  const auto done = storage_.truncate(end);
  if (lost()) return;
  require(done || tolerant_, "truncate: " + text_of(done));
  if (!done) return;
  promises_.cut.reset();
  cut_promises(end);
  note();
}

void LogMachine::retire() {
  if (idle()) return;
  storage_.log().apply_retention();
  storage_.settle();
  if (!lost()) look();
}

void LogMachine::read_all() {
  if (idle()) return;
  const auto contents = storage_.read_all(1 * MiB, true);
  require(lost() || tolerant_ || contents, "a read failed");
}

void LogMachine::find_time() {
  if (idle()) return;
  const auto found = storage_.find_time(storage_.clock().wall());
  require(lost() || tolerant_ || found, "a search by time failed");
}

void LogMachine::wait(Duration time) {
  if (idle()) return;
  storage_.advance(time);
  if (!lost()) look();
}

void LogMachine::inject(const sim::SimDisk::Fault& fault) {
  tolerant_ = true;
  if (!lost()) disk().inject(fault);
}

void LogMachine::lift_faults() {
  if (!lost()) disk().lift_faults();
}

void LogMachine::lie() {
  if (idle() || storage_.files_ending(".segment").empty()) return;
  tolerant_ = true;
  lied_about_ = storage_.segment_path(0);
  turn_lie();
}

void LogMachine::stop_lying() {
  if (lost() || lied_about_.empty()) return;
  turn_lie();
  lied_about_.clear();
}

void LogMachine::turn_lie() {
  if (disk().exists(lied_about_) && disk().read_file(lied_about_).size() > lie_at)
    disk().corrupt(lied_about_, lie_at, 0x10);
}

// -- promises
// ---------------------------------------------------------------------------------------------

void LogMachine::note() {
  if (!is_open() || storage_.told_end() <= promises_.acked_end) return;
  promises_.acked_end = storage_.told_end();
  promises_.doubtful.clear();
  promises_.cut.reset();
}

// What a consumer is told of the start must hold from then on.
void LogMachine::look() {
  promises_.start = std::max(promises_.start, storage_.log().start_offset());
}

// The log is open: of what was not acked a front part has survived, and the rest is gone.
void LogMachine::adopt() {
  const Offset end = storage_.log().durable_end();
  const Offset acked =
      promises_.cut ? std::min(promises_.acked_end, *promises_.cut) : promises_.acked_end;
  require(end >= acked, "acked events are gone: end " + std::to_string(end.value) + ", acked " +
                            std::to_string(acked.value));
  auto& batches = promises_.batches;
  const auto sent_end = [&] { return batches.empty() ? Offset{0} : batches.back().offsets.end; };
  for (const auto& batch : std::exchange(promises_.doubtful, {})) {
    if (batch.offsets.begin == sent_end() && batch.offsets.end <= end) batches.push_back(batch);
  }
  if (promises_.cut) {
    for (const auto& batch : batches) {
      if (batch.offsets.begin >= end) promises_.doubtful.push_back(batch);
    }
  }
  cut_promises(end);
  promises_.acked_end = end;
  if (promises_.doubtful.empty()) promises_.cut.reset();
  require(batches.empty() || sent_end() == end || end == storage_.log().start_offset(),
          "the end " + std::to_string(end.value) + " is not the end of a batch");
}

void LogMachine::cut_promises(Offset end) {
  auto& batches = promises_.batches;
  while (!batches.empty() && batches.back().offsets.begin >= end) batches.pop_back();
  promises_.acked_end = std::min(promises_.acked_end, end);
}

void LogMachine::check() {
  Log& log = storage_.log();
  require(log.refusal().empty(), "the log refuses appends: " + log.refusal());
  require(log.corrupt_ranges().empty(), "a crash is not corruption");
  require(log.start_offset() >= promises_.start, "the start moved back");
  adopt();
  const auto& batches = promises_.batches;
  const auto contents = storage_.read_all(1 * MiB, true);
  require(contents.has_value(), contents ? "" : "read: " + contents.error().to_string());
  require(contents->holes.empty(), "a hole after a crash");
  std::size_t i = 0;
  for (const auto& batch : batches) {
    if (batch.offsets.end <= log.start_offset()) continue;
    require(i < contents->batches.size(), "a batch is missing");
    const auto& stored = contents->batches[i++];
    require(stored.header.range() == batch.offsets, "a batch has other offsets");
    require(std::equal(stored.bytes.begin() + batch_layout::header_bytes, stored.bytes.end(),
                       batch.bytes.begin() + batch_layout::header_bytes, batch.bytes.end()),
            "a batch has other bytes");
  }
  require(i == contents->batches.size(), "there is a batch that nobody appended");
  look();
}

// Two batches, a roll, and all of it acked.
void LogMachine::live_on() {
  tolerant_ = false;
  put(3000, 2);
  put(20'000, 2);
  require(storage_.append_error().code == Errc::ok, "appends after recovery are refused");
  require(promises_.acked_end == storage_.log().appended_end(),
          "appends after recovery are not acked");
}

void LogMachine::resume() {
  const auto before = appended_;
  const int restarts = restarts_;
  put(700, 2);
  require(restarts_ == restarts && appended_ == before + 2 &&
              promises_.acked_end == storage_.log().appended_end(),
          "appends do not resume after the faults: " + storage_.append_error().to_string());
}

}  // namespace millrace::test
