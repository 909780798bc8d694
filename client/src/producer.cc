#include "millrace/producer.h"

#include "producer_core.h"

#include <fmt/core.h>

#include <random>

namespace millrace {

using detail::BatchFate;
using detail::refuse;

namespace {

std::optional<std::string> fault_of(const ProducerOptions& options) {
  if (options.in_flight_max < 1 || options.in_flight_max > 32)
    return fmt::format("in_flight_max is {}; allowed is 1 to 32", options.in_flight_max);
  if (options.batch_bytes < 1024 || options.batch_bytes > batch_layout::body_bytes_limit)
    return fmt::format("batch_bytes is {}; allowed is 1024 to {}", options.batch_bytes,
                       batch_layout::body_bytes_limit);
  if (options.buffer_bytes_max < options.batch_bytes)
    return fmt::format("buffer_bytes_max is {}; it must be at least batch_bytes, {}",
                       options.buffer_bytes_max, options.batch_bytes);
  if (options.ack > AckLevel::durable || options.compression > Compression::lz4)
    return std::string("ack level or compression is none of the named ones");
  return std::nullopt;
}

std::uint64_t random_producer_id() {
  std::random_device device;
  const std::uint64_t id = (std::uint64_t{device()} << 32) | device();
  return id == 0 ? 1 : id;  // 0 means "no session" on the wire
}

// Nothing while the fate is not known; the caller holds the fate's lock.
std::optional<Outcome<Receipt>> receipt_of(const BatchFate& fate, std::uint32_t index) {
  if (const auto* error = std::get_if<ClientError>(&fate.verdict)) return refuse(*error);
  const auto* acked = std::get_if<BatchFate::Acked>(&fate.verdict);
  if (acked == nullptr) return std::nullopt;
  Receipt receipt;
  receipt.partition = fate.partition;
  if (acked->base_offset) receipt.offset = *acked->base_offset + index;
  receipt.append_time_ns = acked->append_time_ns;
  receipt.ack = acked->ack;
  return receipt;
}

}  // namespace

Outcome<Receipt> Delivery::wait() const {
  if (!fate_) return refuse(Errc::bad_usage, "a Delivery that no send() made has no fate");
  std::unique_lock lock(fate_->mutex);
  // Every batch is decided by its deadline; the second covers a thread that is late.
  fate_->changed.wait_for(lock, fate_->wait_max + std::chrono::seconds(1),
                          [&] { return fate_->verdict.index() != 0; });
  auto receipt = receipt_of(*fate_, index_);
  if (!receipt)
    return refuse(Errc::timed_out, "the delivery is not decided yet; the result is unknown");
  return *std::move(receipt);
}

std::optional<Outcome<Receipt>> Delivery::poll() const {
  if (!fate_) return std::nullopt;
  std::lock_guard lock(fate_->mutex);
  return receipt_of(*fate_, index_);
}

Outcome<Producer> Producer::open(const Client& client, std::string topic, ProducerOptions options) {
  if (const auto fault = fault_of(options)) return refuse(Errc::bad_config, *fault);
  auto found = detail::fetch_topic(*client.connection(), topic);
  if (!found) return refuse(std::move(found.error()));
  if (options.producer_id == 0) options.producer_id = random_producer_id();
  return Producer(client, std::make_shared<detail::ProducerCore>(*client.connection(),
                                                                 std::move(*found), options));
}

Producer::Producer(const Client& client, std::shared_ptr<detail::ProducerCore> core)
    : client_(client), core_(std::move(core)) {}
Producer::Producer(Producer&&) noexcept = default;

Producer& Producer::operator=(Producer&& other) noexcept {
  std::swap(client_, other.client_);
  std::swap(core_, other.core_);
  return *this;
}

Producer::~Producer() {
  if (core_) core_->close();
}

std::uint32_t Producer::partitions() const { return core_->topic().partitions; }
Outcome<Delivery> Producer::send(const Event& event) { return core_->send(std::nullopt, event); }
Outcome<Delivery> Producer::send(std::uint32_t partition, const Event& event) {
  return core_->send(partition, event);
}
SentMany Producer::send_many(std::span<const Event> events) { return core_->send_many(events); }
Outcome<void> Producer::flush() { return core_->flush(); }
std::vector<Unacked> Producer::close() { return core_->close(); }
std::vector<PartitionTally> Producer::tally() const { return core_->tally(); }

}  // namespace millrace
