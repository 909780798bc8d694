#include "broker/fetch/fetches.h"

#include "broker/partition.h"

#include <fmt/core.h>

#include <algorithm>

namespace millrace {

class Fetches::Fetch final : public RoomWaiter, public ParkedFetch {
 public:
  Fetch(Fetches& o, const ClientKey& k, Partition& p, const FetchRequest& request)
      : owner(o),
        key(k),
        partition(p),
        offset(request.offset),
        min_bytes(request.min_bytes),
        max_bytes(request.max_bytes),
        received(o.core_.environment.clock.now()),
        deadline(this, [](void* self) { static_cast<Fetch*>(self)->on_deadline(); }) {}

  void on_room() override { owner.serve(*this); }
  void on_data() override { owner.serve(*this); }
  void on_deadline() {
    expired = true;
    if (!parked()) return;
    leave();
    owner.serve(*this);
  }

  Fetches& owner;
  const ClientKey key;
  Partition& partition;
  const Offset offset;
  const std::uint32_t min_bytes, max_bytes;
  const Instant received;
  bool expired = false;      // takes what there is
  std::size_t reserved = 0;  // bytes of the client's room, while reading
  std::unique_ptr<LogRead> read;
  Timer deadline;
};

Fetches::Fetches(const Core& core) : core_(core) {}
Fetches::~Fetches() = default;

void Fetches::tidy() { fetches_.tidy(); }

void Fetches::begin(ClientHandle client, std::uint64_t request_id, Partition& partition,
                    const FetchRequest& request) {
  const BrokerLimits& limits = core_.options.limits;
  if (count_of(client) >= limits.parked_fetches_per_client_max) {
    return core_.clients.refuse(
        client, request_id,
        {Errc::overloaded,
         fmt::format(
             "{} fetches of this client wait already, the limit is {}; wait for their answers, or "
             "raise limits.parked_fetches_per_client_max",
             count_of(client), limits.parked_fetches_per_client_max)});
  }
  const ClientKey key{client, request_id};
  if (fetches_.contains(key)) {
    return core_.clients.refuse(
        client, request_id,
        {Errc::bad_state, "a fetch with this request id waits already; give each its own"});
  }
  FetchRequest clamped = request;
  clamped.max_bytes = std::clamp<std::uint32_t>(request.max_bytes, 1, limits.fetch_bytes_max);
  clamped.min_bytes = std::min(request.min_bytes, clamped.max_bytes);
  clamped.wait_ms = std::min(request.wait_ms, limits.fetch_wait_ms_max);
  Fetch& fetch = fetches_.add(std::make_unique<Fetch>(*this, key, partition, clamped));
  if (clamped.wait_ms == 0) {
    fetch.expired = true;
  } else {
    core_.environment.timers.arm(fetch.deadline, fetch.received + milliseconds(clamped.wait_ms));
  }
  serve(fetch);
}

void Fetches::serve(Fetch& fetch) {
  const std::size_t room = core_.clients.room(fetch.key.client);
  if (room == 0) return core_.clients.wait_for_room(fetch.key.client, fetch);
  const std::size_t bytes_max = std::min<std::size_t>(fetch.max_bytes, room);
  bool must_read = false;
  auto cached = fetch.partition.log().read_cached(fetch.offset, bytes_max, must_read);
  if (!cached) return refuse(fetch, cached.error());
  if (must_read) return read(fetch, bytes_max);
  std::size_t bytes = 0;
  for (const auto& buffer : cached->buffers) bytes += buffer.size();
  const bool at_end = cached->next_offset == fetch.partition.committed_end();
  if (bytes < fetch.min_bytes && at_end && !fetch.expired)
    return park(fetch, fetch.min_bytes - bytes);
  answer(fetch, std::move(*cached));
}

void Fetches::park(Fetch& fetch, std::size_t missing) {
  fetch.partition.fetch_waiters().park(fetch, missing);
}

void Fetches::read(Fetch& fetch, std::size_t bytes_max) {
  fetch.reserved = std::max(bytes_max, read_memory_min);
  core_.clients.reserve(fetch.key.client, fetch.reserved);
  fetch.read = fetch.partition.log().read(
      fetch.offset, bytes_max,
      [this, at = &fetch](Result<ReadResult> result) { on_read(*at, std::move(result)); });
}

// What came from disk is the answer, also when it is less than the minimum: reading it again with
// every commit would cost more than one short answer.
void Fetches::on_read(Fetch& fetch, Result<ReadResult> result) {
  core_.clients.release(fetch.key.client, std::exchange(fetch.reserved, 0));
  if (!result) return refuse(fetch, result.error());
  answer(fetch, std::move(*result));
}

void Fetches::answer(Fetch& fetch, ReadResult result) {
  ShardMetrics& metrics = core_.environment.metrics;
  for (const auto& buffer : result.buffers) metrics.fetch_bytes.add(buffer.size());
  if (result.next_offset > fetch.offset)
    metrics.events_fetched.add(result.next_offset - fetch.offset);
  metrics.fetch_latency.record_ns((core_.environment.clock.now() - fetch.received).ns);
  const ClientKey key = fetch.key;
  FetchedReply reply;
  reply.start_offset = fetch.partition.log().start_offset();
  reply.end_offset = fetch.partition.committed_end();
  reply.next_offset = result.next_offset;
  reply.data = std::move(result.buffers);
  end(fetch);
  core_.clients.send(key.client, key.id, std::move(reply));
}

void Fetches::refuse(Fetch& fetch, const Error& error) {
  const ClientKey key = fetch.key;
  end(fetch);
  core_.clients.refuse(key.client, key.id, error);
}

// The fetch may be inside of a callback of its own read or timer: it lives until tidy.
void Fetches::end(Fetch& fetch) {
  fetch.leave();
  fetch.unlink();
  fetch.deadline.cancel();
  fetch.read.reset();
  if (fetch.reserved > 0) core_.clients.release(fetch.key.client, std::exchange(fetch.reserved, 0));
  fetches_.bury(fetch);
}

void Fetches::client_gone(ClientHandle client) {
  fetches_.for_each_of(client, [&](Fetch& fetch) { end(fetch); });
}

void Fetches::end_all(const Partition& partition, const Error& error) {
  fetches_.for_each([&](Fetch& fetch) {
    if (&fetch.partition == &partition) refuse(fetch, error);
  });
}

void Fetches::end_all(const Error& error) {
  fetches_.for_each([&](Fetch& fetch) { refuse(fetch, error); });
}

}  // namespace millrace
