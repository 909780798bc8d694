#include "broker/shard.h"

#include "broker/clients.h"
#include "broker/core.h"
#include "broker/disk_watch.h"
#include "broker/fanout/feeder.h"
#include "broker/fetch/fetches.h"
#include "broker/fetch/where_lookups.h"
#include "broker/flush_list.h"
#include "broker/scrubber.h"
#include "broker/topic_requests.h"
#include "broker/topics.h"
#include "storage/segment_pool.h"
#include "storage/tail_cache.h"

#include <algorithm>

namespace millrace {
namespace {

constexpr std::string_view pool_directory = "pool";
constexpr Duration care_interval = seconds(1);
// How long a stop waits for clients that do not take their last replies.
constexpr Duration stop_grace = seconds(1);

Error stopping_error() {
  return {Errc::shutting_down, "the broker is stopping; retry when it is back"};
}

}  // namespace

class Shard::Impl {
 public:
  Impl(const ShardEnvironment& environment, BrokerOptions options, Memory memory);

  void start(Done done);
  void stop(Done done);
  void handle(ClientHandle client, Request&& request);
  void refuse(ClientHandle client, std::uint64_t request_id, Error error);
  void client_gone(ClientHandle client) { clients_.mark_gone(client); }
  bool turn();
  std::vector<PartitionStatus> partition_statuses() const;

 private:
  enum class Life { fresh, starting, serving, stopped };
  enum class Stop { none, draining, closing, closed };

  // One per kind of request.
  void on(ClientHandle client, std::uint64_t id, const ProduceRequest& request);
  void on(ClientHandle client, std::uint64_t id, const FetchRequest& request);
  void on(ClientHandle client, std::uint64_t id, const SubscribeRequest& request);
  void on(ClientHandle client, std::uint64_t id, const CreditRequest& request);
  void on(ClientHandle client, std::uint64_t id, const UnsubscribeRequest& request);
  void on(ClientHandle client, std::uint64_t id, const ListOffsetsRequest& request);
  void on(ClientHandle client, std::uint64_t id, const CreateTopicRequest& request);
  void on(ClientHandle client, std::uint64_t id, const ListTopicsRequest& request);
  void on(ClientHandle client, std::uint64_t id, const DescribeTopicRequest& request);
  void on(ClientHandle client, std::uint64_t id, const DeleteTopicRequest& request);
  void on(ClientHandle client, std::uint64_t id, const TrimTopicRequest& request);
  void on(ClientHandle client, std::uint64_t id, const MetadataRequest& request);
  void on(ClientHandle client, std::uint64_t id, const PingRequest& request);

  void on_started(Result<void> result);
  void send_away(const Partition& partition, const Error& error);
  void forget_gone();
  void advance_stop();
  void finish_stop();
  void on_care();
  void on_retention();
  void set_gauges();
  template <class Function>
  void for_each_partition(Function function) const;

  const ShardEnvironment environment_;
  const BrokerOptions options_;
  SegmentPool segment_pool_;
  CacheBudget cache_budget_;
  Clients clients_;
  FlushList flush_list_;
  const Core core_;
  Feeder feeder_;
  Fetches fetches_;
  WhereLookups lookups_;
  Topics topics_;
  TopicRequests topic_requests_;
  DiskWatch disk_watch_;
  Scrubber scrubber_;
  Timer care_timer_, retention_timer_, grace_timer_;
  const Instant created_;
  Life life_ = Life::fresh;
  Stop stop_ = Stop::none;
  bool grace_over_ = false;
  Done start_done_, stop_done_;
};

Shard::Impl::Impl(const ShardEnvironment& environment, BrokerOptions options, Memory memory)
    : environment_(environment),
      options_(std::move(options)),
      segment_pool_(environment.disk, std::string(pool_directory), memory.segment_pool_bytes),
      cache_budget_(memory.cache_bytes),
      clients_(environment_, options_.limits),
      core_{environment_, options_, segment_pool_, cache_budget_, clients_, feeder_, flush_list_},
      feeder_(core_),
      fetches_(core_),
      topics_(core_, [this](const Partition& p, const Error& e) { send_away(p, e); }),
      topic_requests_(core_, topics_, lookups_),
      disk_watch_(environment.disk, options_, environment.metrics),
      scrubber_(core_, topics_.catalog()),
      care_timer_(this, [](void* self) { static_cast<Impl*>(self)->on_care(); }),
      retention_timer_(this, [](void* self) { static_cast<Impl*>(self)->on_retention(); }),
      grace_timer_(this, [](void* self) { static_cast<Impl*>(self)->grace_over_ = true; }),
      created_(environment.clock.now()) {}

// -- start and stop
// ---------------------------------------------------------------------------------------------------

void Shard::Impl::start(Done done) {
  CHECK(life_ == Life::fresh, "a shard is started once");
  life_ = Life::starting;
  start_done_ = std::move(done);
  segment_pool_.open([this](Result<void> opened) {
    if (!opened) return on_started(std::move(opened));
    topics_.load([this](Result<void> loaded) { on_started(std::move(loaded)); });
  });
}

void Shard::Impl::on_started(Result<void> result) {
  if (result) {
    life_ = Life::serving;
    on_care();
    environment_.timers.arm(retention_timer_,
                            environment_.clock.now() + options_.retention_interval);
    scrubber_.start();
  } else {
    life_ = Life::stopped;
  }
  std::exchange(start_done_, nullptr)(std::move(result));
}

void Shard::Impl::stop(Done done) {
  CHECK(stop_ == Stop::none, "a shard is stopped once");
  const Error stopping = stopping_error();
  stop_ = Stop::draining;
  stop_done_ = std::move(done);
  topics_.stop();
  fetches_.end_all(stopping);
  feeder_.end_all(stopping);
  lookups_.end_all(stopping);
  retention_timer_.cancel();
  scrubber_.stop();
}

// What was taken is made durable and answered before a log is closed; nothing new comes in
// meanwhile.
void Shard::Impl::advance_stop() {
  switch (stop_) {
    case Stop::none: return;
    case Stop::draining:
      if (life_ == Life::starting || topics_.busy() || !topics_.is_quiet()) return;
      stop_ = Stop::closing;
      return topics_.close_all(stopping_error(), [this] {
        stop_ = Stop::closed;
        environment_.timers.arm(grace_timer_, environment_.clock.now() + stop_grace);
      });
    case Stop::closing: return;
    case Stop::closed:
      if (!topics_.store_idle() || !segment_pool_.idle() || (clients_.has_queued() && !grace_over_))
        return;
      return finish_stop();
  }
}

void Shard::Impl::finish_stop() {
  if (!stop_done_) return;
  life_ = Life::stopped;
  care_timer_.cancel();
  grace_timer_.cancel();
  std::exchange(stop_done_, nullptr)({});
}

// -- requests
// ---------------------------------------------------------------------------------------------------------

void Shard::Impl::handle(ClientHandle client, Request&& request) {
  if (stop_ != Stop::none) {
    return refuse(client, request.id, stopping_error());
  }
  if (life_ != Life::serving) {
    return refuse(client, request.id,
                  {Errc::overloaded, "the broker is starting; retry after a pause"});
  }
  std::visit([&](const auto& body) { on(client, request.id, body); }, request.body);
}

void Shard::Impl::refuse(ClientHandle client, std::uint64_t request_id, Error error) {
  clients_.refuse(client, request_id, std::move(error));
}

void Shard::Impl::on(ClientHandle client, std::uint64_t id, const ProduceRequest& request) {
  const auto partition = topics_.find_partition(request.topic, request.partition);
  if (!partition) {
    environment_.metrics.append_rejected[static_cast<std::size_t>(partition.error().code)].add();
    return refuse(client, id, partition.error());
  }
  (*partition)->produce(client, id, request, disk_watch_.refusal());
}

void Shard::Impl::on(ClientHandle client, std::uint64_t id, const FetchRequest& request) {
  const auto partition = topics_.find_partition(request.topic, request.partition);
  if (!partition) return refuse(client, id, partition.error());
  fetches_.begin(client, id, **partition, request);
}

void Shard::Impl::on(ClientHandle client, std::uint64_t id, const SubscribeRequest& request) {
  const auto partition = topics_.find_partition(request.topic, request.partition);
  if (!partition) return refuse(client, id, partition.error());
  feeder_.subscribe(client, id, **partition, request);
}

void Shard::Impl::on(ClientHandle client, std::uint64_t id, const CreditRequest& request) {
  feeder_.credit(client, id, request);
}

void Shard::Impl::on(ClientHandle client, std::uint64_t id, const UnsubscribeRequest& request) {
  feeder_.unsubscribe(client, id, request);
}

void Shard::Impl::on(ClientHandle client, std::uint64_t id, const ListOffsetsRequest& request) {
  topic_requests_.list_offsets(client, id, request);
}

void Shard::Impl::on(ClientHandle client, std::uint64_t id, const CreateTopicRequest& request) {
  topic_requests_.create(client, id, request);
}

void Shard::Impl::on(ClientHandle client, std::uint64_t id, const ListTopicsRequest&) {
  topic_requests_.list(client, id);
}

void Shard::Impl::on(ClientHandle client, std::uint64_t id, const DescribeTopicRequest& request) {
  topic_requests_.describe(client, id, request);
}

void Shard::Impl::on(ClientHandle client, std::uint64_t id, const DeleteTopicRequest& request) {
  topic_requests_.remove(client, id, request);
}

void Shard::Impl::on(ClientHandle client, std::uint64_t id, const TrimTopicRequest& request) {
  topic_requests_.trim(client, id, request);
}

void Shard::Impl::on(ClientHandle client, std::uint64_t id, const MetadataRequest& request) {
  topic_requests_.metadata(client, id, request);
}

void Shard::Impl::on(ClientHandle client, std::uint64_t id, const PingRequest&) {
  const Duration uptime = environment_.clock.now() - created_;
  clients_.send(client, id,
                PongReply{options_.version, environment_.cluster_id, options_.live_endpoint,
                          static_cast<std::uint64_t>(uptime.ns / 1'000'000)});
}

// -- the turn
// ---------------------------------------------------------------------------------------------------------

bool Shard::Impl::turn() {
  forget_gone();
  fetches_.tidy();
  feeder_.tidy();
  lookups_.tidy();
  // The disk first: it works while the rest of the turn goes on.
  flush_list_.flush_all();
  bool more = clients_.turn();
  more |= feeder_.turn();
  advance_stop();
  set_gauges();
  return more || clients_.has_gone();
}

void Shard::Impl::forget_gone() {
  for (const ClientHandle client : clients_.take_gone()) {
    fetches_.client_gone(client);
    feeder_.client_gone(client);
  }
}

void Shard::Impl::send_away(const Partition& partition, const Error& error) {
  fetches_.end_all(partition, error);
  feeder_.end_all(partition, error);
  lookups_.end_all(partition, error);
  scrubber_.leave(partition);
}

template <class Function>
void Shard::Impl::for_each_partition(Function function) const {
  for (const auto& [name, topic] : topics_.catalog().by_name()) {
    for (const auto& partition : topic->partitions) function(*partition);
  }
}

void Shard::Impl::set_gauges() {
  ShardMetrics& metrics = environment_.metrics;
  metrics.clients.set(clients_.size());
  metrics.subscriptions.set(feeder_.size());
  metrics.parked_fetches.set(fetches_.size());
  metrics.staged_bytes.set(flush_list_.staged_bytes());
  metrics.reply_bytes.set(clients_.total_bytes());
}

void Shard::Impl::on_care() {
  // A quota may be used up long before the file system is.
  bool met_full_disk = false;
  std::uint64_t ranges = 0, events = 0;
  for_each_partition([&](Partition& partition) {
    met_full_disk |= partition.take_met_full_disk();
    for (const CorruptRange& range : partition.log().corrupt_ranges()) {
      ++ranges;
      events += range.offsets.count();
    }
  });
  disk_watch_.look(met_full_disk ? DiskWatch::Writes::met_no_space : DiskWatch::Writes::fine);
  segment_pool_.set_keeping(!disk_watch_.lacks_space());
  environment_.metrics.corrupt_ranges.set(ranges);
  environment_.metrics.corrupt_events.set(events);
  environment_.timers.arm(care_timer_, environment_.clock.now() + care_interval);
}

void Shard::Impl::on_retention() {
  for_each_partition([](Partition& partition) { partition.apply_retention(); });
  environment_.timers.arm(retention_timer_, environment_.clock.now() + options_.retention_interval);
}

std::vector<PartitionStatus> Shard::Impl::partition_statuses() const {
  std::vector<PartitionStatus> statuses;
  for_each_partition([&](const Partition& partition) { statuses.push_back(partition.status()); });
  return statuses;
}

// -- Shard: the door
// --------------------------------------------------------------------------------------------------

Shard::Shard(ShardEnvironment environment, BrokerOptions options, Memory memory)
    : impl_(std::make_unique<Impl>(environment, std::move(options), memory)) {}
Shard::~Shard() = default;
void Shard::start(Done done) { impl_->start(std::move(done)); }
void Shard::stop(Done done) { impl_->stop(std::move(done)); }
void Shard::handle(ClientHandle client, Request&& request) {
  impl_->handle(client, std::move(request));
}
void Shard::refuse(ClientHandle client, std::uint64_t request_id, Error error) {
  impl_->refuse(client, request_id, std::move(error));
}
void Shard::client_gone(ClientHandle client) { impl_->client_gone(client); }
bool Shard::turn() { return impl_->turn(); }
std::vector<PartitionStatus> Shard::partition_statuses() const {
  return impl_->partition_statuses();
}

}  // namespace millrace
