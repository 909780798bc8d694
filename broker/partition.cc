#include "broker/partition.h"

#include "broker/fanout/feeder.h"
#include "storage/base/diag.h"

#include <fmt/core.h>

namespace millrace {
namespace {

constexpr std::string_view channel = "partition";

LogEnvironment log_environment(const Core& core) {
  const ShardEnvironment& e = core.environment;
  return {e.disk, e.clock, e.timers, e.slabs, e.random, core.segment_pool, core.cache_budget};
}

}  // namespace

Partition::Partition(const Core& core, LogIdentity identity, const LogOptions& options, bool live)
    : core_(core),
      identity_(std::move(identity)),
      options_(options),
      live_(live),
      log_(log_environment(core), identity_, options, *this),
      acks_(core.clients, core.environment.metrics, core.environment.clock) {}

// -- life
// -------------------------------------------------------------------------------------------------------------

void Partition::open(Done done) {
  CHECK(life_ == Life::fresh, "a partition is opened once");
  life_ = Life::opening;
  log_.open([this, done = std::move(done)](Result<void> result) {
    life_ = result ? Life::open : Life::failed;
    if (!result) {
      fault_ = result.error();
      diag::error(channel, "{}/{} cannot be opened: {}", identity_.topic_name, identity_.partition,
                  fault_.to_string());
    }
    done(std::move(result));
  });
}

void Partition::set_fault(Error fault) {
  CHECK(life_ == Life::fresh, "only a log that was not opened has no files");
  diag::error(channel, "{}/{}: {}", identity_.topic_name, identity_.partition, fault.to_string());
  fault_ = std::move(fault);
}

void Partition::close(const Error& error, Done done) {
  CHECK(life_ != Life::opening && life_ != Life::closing, "one thing at a time");
  unlink();
  if (life_ == Life::fresh || life_ == Life::closed) return done({});
  close_done_ = std::move(done);
  const bool wait = trimming_;
  fault_ = error;
  life_ = Life::closing;
  if (!wait) start_close();
}

// The log makes durable what it was given before it closes, and readers may hear of it: only what
// waits after that was surely not stored.
void Partition::start_close() {
  log_.close([this](Result<void> result) {
    life_ = Life::closed;
    acks_.fail_all(fault_);
    auto done = std::exchange(close_done_, nullptr);
    done(std::move(result));
  });
}

Result<void> Partition::check_open() const {
  if (life_ == Life::open) return {};
  if (fault_.code != Errc::ok) return fail(fault_);
  return fail(Errc::overloaded, fmt::format("{}/{} is being opened; retry", identity_.topic_name,
                                            identity_.partition));
}

Result<void> Partition::check_readable(Offset offset) const {
  if (auto is_open = check_open(); !is_open) return is_open;
  const Offset start = log_.start_offset(), end = committed_end();
  if (offset >= start && offset <= end) return {};
  Error error{
      Errc::offset_out_of_range,
      fmt::format("offset {} of {}/{} is {}; ask for {} to {}, its start and its end", offset.value,
                  identity_.topic_name, identity_.partition,
                  offset < start ? "below its start" : "beyond its end", start.value, end.value)};
  error.range_begin = start.value;
  error.range_end = end.value;
  return fail(std::move(error));
}

// -- trip one
// ---------------------------------------------------------------------------------------------------------

void Partition::produce(ClientHandle client, std::uint64_t request_id,
                        const ProduceRequest& request, std::string_view disk_refusal) {
  if (auto is_open = check_open(); !is_open) return refuse(client, request_id, is_open.error());
  AdmissionFacts facts;
  facts.disk_refusal = disk_refusal;
  facts.batch_bytes_max = options_.batch_bytes_max;
  facts.staged_bytes = core_.flush_list.staged_bytes();
  facts.staged_bytes_max = core_.options.limits.staged_bytes_max;
  facts.acks_waiting = acks_.size();
  const auto admitted = admit(facts, log_.producers(), request.batch);
  if (!admitted) return refuse(client, request_id, admitted.error());
  if (*admitted) return answer_duplicate(client, request_id, request.ack, **admitted);
  append(client, request_id, request);
}

void Partition::append(ClientHandle client, std::uint64_t request_id,
                       const ProduceRequest& request) {
  const auto appended = log_.append(request.batch);
  if (!appended) return refuse(client, request_id, appended.error());
  const std::size_t bytes = request.batch.bytes().size();
  core_.flush_list.add(*this, bytes);
  events_appended_ += appended->count();
  append_bytes_ += bytes;
  core_.environment.metrics.events_appended.add(appended->count());
  core_.environment.metrics.append_bytes.add(bytes);
  acknowledge(client, request_id, {*appended, log_.last_append_time(), request.ack, false});
}

// The first attempt may still be on its way to the disk, and then so is the answer. If it can never
// get there, it is not there.
void Partition::answer_duplicate(ClientHandle client, std::uint64_t request_id, Ack ack,
                                 const ProducedBatch& original) {
  const OffsetRange offsets{original.base_offset, original.base_offset + original.event_count};
  if (offsets.end > committed_end() && !log_.refusal().empty()) {
    return refuse(client, request_id, {Errc::storage_error, log_.refusal()});
  }
  acknowledge(client, request_id, {offsets, original.append_time, ack, true});
}

void Partition::acknowledge(ClientHandle client, std::uint64_t request_id,
                            const ProducedReply& reply) {
  switch (reply.ack) {
    case Ack::none: return;
    case Ack::received: return core_.clients.send(client, request_id, reply);
    case Ack::durable:
      acks_.push(client, request_id, core_.environment.clock.now(), reply);
      // A duplicate of what is durable waits for nothing.
      return acks_.release(committed_end());
  }
}

void Partition::refuse(ClientHandle client, std::uint64_t request_id, const Error& error) {
  core_.environment.metrics.append_rejected[static_cast<std::size_t>(error.code)].add();
  core_.clients.refuse(client, request_id, error);
}

bool Partition::is_quiet() const {
  if (life_ != Life::open) return true;
  return acks_.empty() && !has_staged();
}

void Partition::flush() {
  if (life_ != Life::open) return;
  if (commit_started_ == instant_never) commit_started_ = core_.environment.clock.now();
  log_.flush();
}

void Partition::on_durable(Offset end, const std::vector<Buffer>& batches) {
  ShardMetrics& metrics = core_.environment.metrics;
  std::uint64_t bytes = 0, events = 0;
  for (const auto& batch : batches) {
    bytes += batch.size();
    events += load_le<std::uint32_t>(batch.bytes().data() + batch_layout::event_count_at);
  }
  metrics.commits.add();
  metrics.commit_events.add(events);
  if (commit_started_ != instant_never) {
    const Instant now = core_.environment.clock.now();
    metrics.sync_latency.record_ns((now - commit_started_).ns);
    commit_started_ = log_.has_staged() ? now : instant_never;
  }
  acks_.release(end);
  fetch_waiters_.release(bytes);
  if (live_) publish(batches);
  core_.feeder.wake(waiting_subscriptions_);
}

void Partition::publish(const std::vector<Buffer>& batches) {
  // The port counts: it alone knows what it dropped.
  for (const auto& batch : batches)
    core_.environment.live.publish(identity_.topic_name, identity_.partition, batch);
}

void Partition::on_append_failed(const Error& error) {
  commit_started_ = instant_never;
  if (error.code == Errc::storage_full) met_full_disk_ = true;
  acks_.fail_all(error);
}

// -- care
// -------------------------------------------------------------------------------------------------------------

void Partition::trim(Offset start, TrimDone done) {
  if (auto is_open = check_open(); !is_open) return done(fail(is_open.error()));
  if (trimming_)
    return done(
        fail(Errc::overloaded, "another trim of this partition is under way; retry after a pause"));
  trimming_ = true;
  log_.trim(start, [this, done = std::move(done)](Result<void> result) {
    trimming_ = false;
    if (result) {
      done(log_.start_offset());
    } else {
      done(fail(result.error()));
    }
    if (life_ == Life::closing) start_close();
  });
}

void Partition::apply_retention() {
  if (life_ == Life::open) log_.apply_retention();
}

std::string Partition::state_text() const {
  if (life_ == Life::fresh || life_ == Life::opening) {
    return fault_.code == Errc::ok ? "opening" : fault_.to_string();
  }
  if (life_ != Life::open) return fault_.to_string();
  if (!log_.refusal().empty()) return log_.refusal();
  const auto& corrupt = log_.corrupt_ranges();
  if (corrupt.empty()) return "ok";
  return fmt::format("{} damaged range{} fenced, the first is [{}, {}): {}", corrupt.size(),
                     corrupt.size() == 1 ? "" : "s", corrupt.front().offsets.begin.value,
                     corrupt.front().offsets.end.value, corrupt.front().reason);
}

std::uint64_t Partition::corrupt_events() const {
  std::uint64_t events = 0;
  for (const CorruptRange& range : log_.corrupt_ranges()) events += range.offsets.count();
  return events;
}

PartitionInfo Partition::info() const {
  PartitionInfo info;
  info.state = state_text();
  if (life_ != Life::open) return info;
  info.start_offset = log_.start_offset();
  info.end_offset = committed_end();
  info.bytes = log_.bytes();
  info.segments = static_cast<std::uint32_t>(log_.segment_count());
  info.last_append_time = log_.last_append_time();
  info.corrupt_events = corrupt_events();
  return info;
}

PartitionStatus Partition::status() const {
  PartitionStatus status;
  status.topic = identity_.topic_name;
  status.partition = identity_.partition;
  status.state = state_text();
  status.events_appended = events_appended_;
  status.append_bytes = append_bytes_;
  if (life_ != Life::open) return status;
  status.start_offset = log_.start_offset();
  status.durable_end = committed_end();
  status.appended_end = log_.appended_end();
  status.bytes = log_.bytes();
  status.segments = static_cast<std::uint32_t>(log_.segment_count());
  status.corrupt_events = corrupt_events();
  return status;
}

}  // namespace millrace
