#include "producer_core.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>

namespace millrace::detail {
namespace {

constexpr std::size_t header_bytes = batch_layout::header_bytes;

std::int64_t wall_now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

Codec codec_of(Compression compression) {
  switch (compression) {
    case Compression::none: return Codec::none;
    case Compression::zstd: return Codec::zstd;
    case Compression::lz4: return Codec::lz4;
  }
  return Codec::none;
}

BatcherOptions batcher_options(const Topic& topic, const ProducerOptions& options,
                               std::chrono::milliseconds timeout) {
  BatcherOptions out;
  out.partitions = topic.partitions;
  out.batch_bytes =
      std::min<std::size_t>(options.batch_bytes, topic.batch_bytes_max - header_bytes);
  out.timeout = timeout;
  return out;
}

}  // namespace

ProducerCore::ProducerCore(Connection& connection, Topic topic, ProducerOptions options)
    : connection_(connection),
      topic_(std::move(topic)),
      options_(options),
      timeout_(connection.options().timeout),
      event_bytes_max_(topic_.batch_bytes_max - header_bytes),
      batcher_(batcher_options(topic_, options_, timeout_)),
      lanes_(topic_.partitions),
      tally_(topic_.partitions),
      sealer_(codec_of(options_.compression)) {
  for (std::uint32_t i = 0; i < topic_.partitions; ++i) {
    tally_[i].partition = i;
    sessions_.emplace_back(*this, i);
  }
}

Outcome<Delivery> ProducerCore::send(std::optional<std::uint32_t> partition, const Event& event) {
  if (auto fault = fault_of(partition, event)) return refuse(std::move(*fault));
  const std::int64_t now_ns = event.time_ns != 0 ? 0 : wall_now_ns();
  Lock lock(mutex_);
  if (auto fault = make_room(lock, Batcher::bytes_of(event, 0))) return refuse(std::move(*fault));
  Delivery delivery = add(partition, event, now_ns);
  wake_if_due(lock);
  return delivery;
}

SentMany ProducerCore::send_many(std::span<const Event> events) {
  SentMany sent;
  const std::int64_t now_ns = wall_now_ns();
  Lock lock(mutex_);
  for (const Event& event : events) {
    sent.error = fault_of(std::nullopt, event);
    if (!sent.error) sent.error = make_room(lock, Batcher::bytes_of(event, 0));
    if (sent.error) break;
    add(std::nullopt, event, now_ns);
    ++sent.accepted;
  }
  wake_if_due(lock);
  return sent;
}

std::optional<ClientError> ProducerCore::fault_of(std::optional<std::uint32_t> partition,
                                                  const Event& event) const {
  if (partition && *partition >= topic_.partitions)
    return client_error(Errc::unknown_partition,
                        fmt::format("topic '{}' has partitions 0 to {}, not {}", topic_.key.name,
                                    topic_.partitions - 1, *partition));
  std::size_t headers = 0;
  for (const HeaderField& field : event.headers) {
    if (field.name.empty()) return client_error(Errc::bad_usage, "a header needs a name");
    headers += 8 + field.name.size() + field.value.size();
  }
  static const BatchBodyBuilder empty;
  const std::size_t bytes = empty.body_bytes_with(event.key.size(), event.payload.size(), headers);
  if (bytes <= event_bytes_max_) return std::nullopt;
  return too_large(event, bytes);
}

// A batch holds more than its payload, so a payload below the limit may be too large: what is left
// for it beside this key and these headers is said.
ClientError ProducerCore::too_large(const Event& event, std::size_t body_bytes) const {
  const std::size_t beside = header_bytes + body_bytes - event.payload.size();
  const std::string largest =
      beside < topic_.batch_bytes_max
          ? fmt::format("a payload of up to {} B fits: ", topic_.batch_bytes_max - beside)
          : std::string("its key and headers alone are too large: ");
  return client_error(
      Errc::too_large,
      fmt::format("an event of {} B payload makes a batch of {} B; topic '{}' allows {} B "
                  "(batch_bytes_max), {}split it, or create the topic with a larger one",
                  event.payload.size(), header_bytes + body_bytes, topic_.key.name,
                  topic_.batch_bytes_max, largest));
}

std::optional<ClientError> ProducerCore::make_room(Lock& lock, std::size_t bytes) {
  const auto closed = [] { return client_error(Errc::closed, "this producer was closed"); };
  // One event always fits into an empty buffer.
  const auto has_room = [&] {
    return buffered_bytes_ == 0 || buffered_bytes_ + bytes <= options_.buffer_bytes_max;
  };
  if (closed_) return closed();
  if (has_room()) return std::nullopt;
  wake_if_due(lock);
  if (!lock.owns_lock()) lock.lock();
  const bool waited = room_.wait_for(lock, timeout_, [&] { return closed_ || has_room(); });
  if (closed_) return closed();
  if (waited) return std::nullopt;
  return client_error(
      Errc::overloaded,
      fmt::format("{} bytes wait to be acked, the limit is {} (buffer_bytes_max), and "
                  "there was no room within {} ms; send more slowly, or allow a longer timeout",
                  buffered_bytes_, options_.buffer_bytes_max, timeout_.count()));
}

Delivery ProducerCore::add(std::optional<std::uint32_t> partition, const Event& event,
                           std::int64_t now_ns) {
  headers_.clear();
  for (const HeaderField& field : event.headers)
    encode_header(field.name, as_bytes(field.value), headers_);
  const std::uint32_t lane = partition ? *partition : batcher_.route(event, headers_);
  const auto [batch, index] =
      batcher_.add(lane, event, headers_, event.time_ns != 0 ? event.time_ns : now_ns);
  if (index == 0) undecided_.insert(undecided_.end(), batch->serial);
  buffered_bytes_ += Batcher::bytes_of(event, headers_.size());
  wake_due_ = schedule(lane) || wake_due_;
  return Delivery(batch->fate, index);
}

// Notes that the loop is to look at a partition. False when it knows, or when an answer will make
// it look.
bool ProducerCore::schedule(std::uint32_t partition) {
  Lane& lane = lanes_[partition];
  const bool sendable = lane.in_flight == 0 ||
                        (lane.in_flight < options_.in_flight_max && batcher_.has_full(partition));
  if (lane.scheduled || lane.blocked || !sendable) return false;
  lane.scheduled = true;
  scheduled_.push_back(partition);
  return true;
}

void ProducerCore::wake_if_due(Lock& lock) {
  const bool wake = wake_due_ && !wake_posted_;
  wake_due_ = false;
  wake_posted_ = wake_posted_ || wake;
  lock.unlock();
  if (wake) connection_.post([self = shared_from_this()] { self->pump_scheduled(); });
}

void ProducerCore::pump_scheduled() {
  std::vector<std::uint32_t> partitions;
  {
    std::lock_guard lock(mutex_);
    partitions.swap(scheduled_);
    wake_posted_ = false;
    for (const std::uint32_t partition : partitions) lanes_[partition].scheduled = false;
  }
  for (const std::uint32_t partition : partitions) sessions_[partition].pump();
}

std::unique_ptr<DraftBatch> ProducerCore::take(std::uint32_t partition, std::size_t in_flight,
                                               bool blocked) {
  std::lock_guard lock(mutex_);
  lanes_[partition].in_flight = in_flight;
  lanes_[partition].blocked = blocked;
  if (blocked || in_flight >= options_.in_flight_max) return nullptr;
  auto draft = batcher_.next(partition, in_flight == 0);
  // Until the session says otherwise: a user who adds now need not wake the loop.
  if (draft != nullptr) ++lanes_[partition].in_flight;
  return draft;
}

void ProducerCore::recycle(std::unique_ptr<DraftBatch> draft) {
  std::lock_guard lock(mutex_);
  batcher_.recycle(std::move(draft));
}

void ProducerCore::decide(const Decided& batch, BatchFate::Verdict verdict) {
  batch.fate->decide(verdict);
  std::lock_guard lock(mutex_);
  buffered_bytes_ -= batch.event_bytes;
  undecided_.erase(batch.serial);
  if (const auto* error = std::get_if<ClientError>(&verdict)) {
    note_failure(batch, *error);
  } else if (const auto* acked = std::get_if<BatchFate::Acked>(&verdict)) {
    PartitionTally& tally = tally_[batch.fate->partition];
    tally.events += batch.event_count;
    if (acked->base_offset) {
      const std::uint64_t last = *acked->base_offset + batch.event_count - 1;
      tally.first_offset =
          std::min(tally.first_offset.value_or(*acked->base_offset), *acked->base_offset);
      tally.last_offset = std::max(tally.last_offset.value_or(last), last);
    }
  }
  room_.notify_all();
  decided_.notify_all();
}

void ProducerCore::note_failure(const Decided& batch, const ClientError& error) {
  if (!first_failure_) first_failure_ = error;
  const std::uint32_t partition = batch.fate->partition;
  // A broker that is away for long fails batch after batch in the same way: one row for all of
  // them.
  if (!unacked_.empty() && unacked_.back().partition == partition &&
      unacked_.back().error.code == error.code) {
    unacked_.back().event_count += batch.event_count;
    unacked_.back().first_event = std::min(unacked_.back().first_event, batch.first_event);
  } else {
    unacked_.push_back({partition, batch.event_count, error, batch.first_event});
  }
}

Outcome<void> ProducerCore::flush() {
  Lock lock(mutex_);
  const std::uint64_t begun = batcher_.batches_begun();
  decided_.wait(lock, [&] { return undecided_.empty() || *undecided_.begin() >= begun; });
  if (auto failure = std::exchange(first_failure_, std::nullopt))
    return refuse(std::move(*failure));
  return {};
}

std::vector<Unacked> ProducerCore::close() {
  Lock lock(mutex_);
  closed_ = true;
  room_.notify_all();
  decided_.wait(lock, [&] { return undecided_.empty(); });
  return unacked_;
}

std::vector<PartitionTally> ProducerCore::tally() const {
  std::lock_guard lock(mutex_);
  return tally_;
}

}  // namespace millrace::detail
