// A shard on a simulated disk, with recording ports, and verbs that run turns until an answer is
// there. A loss of power ends the "process": its shard is wound up without effect on the disk, and
// start makes a new one.
//
// Always checked: every batch that is delivered or published was durable before (G6), verifies, and
// the replies of one request are not mixed up with another's.
#pragma once

#include "broker/shard.h"
#include "tests/sim/sim_clock.h"
#include "tests/sim/sim_disk.h"
#include "tests/sim/sim_storage.h"
#include "tests/support/batch_maker.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace millrace::test {

class RecordingClients final : public ClientPort {
 public:
  SendResult send(ClientHandle client, Reply& reply) override {
    if (gone.contains(client)) return SendResult::gone;
    const auto limit = room.find(client);
    if (limit != room.end()) {
      if (limit->second == 0) return SendResult::busy;
      --limit->second;
    }
    replies[client].push_back(std::move(reply));
    return SendResult::sent;
  }

  std::uint64_t pinned_bytes(ClientHandle client) const override {
    const auto found = pinned.find(client);
    return found == pinned.end() ? 0 : found->second;
  }
  std::uint64_t pinned_bytes() const override {
    std::uint64_t bytes = 0;
    for (const auto& [client, of_client] : pinned) bytes += of_client;
    return bytes;
  }

  std::map<ClientHandle, std::vector<Reply>> replies;
  std::map<ClientHandle, std::uint64_t> pinned;  // taken, and not by the network
  std::set<ClientHandle> gone;
  std::map<ClientHandle, std::size_t> room;  // replies it still takes; absent: any number
};

class RecordingLive final : public LivePort {
 public:
  struct Published {
    std::string topic;
    PartitionIndex partition;
    Bytes bytes;
  };
  void publish(std::string_view topic, PartitionIndex partition, const Buffer& batch) override {
    published.push_back(
        {std::string(topic), partition, Bytes(batch.bytes().begin(), batch.bytes().end())});
  }
  std::vector<Published> published;
};

inline BrokerOptions small_broker_options() {
  BrokerOptions options;
  options.topic_defaults = sim::small_log_options();
  options.scrub_bytes_per_second = 0;  // tests say when it may read
  return options;
}

class ShardFixture {
 public:
  explicit ShardFixture(std::uint64_t seed = 1,
                        BrokerOptions broker_options = small_broker_options())
      : random(seed), disk(random), options(std::move(broker_options)) {
    for (std::size_t i = 0; i < 16; ++i) cluster_id.bytes[i] = static_cast<std::uint8_t>(i + 1);
  }
  ShardFixture(const ShardFixture&) = delete;
  ~ShardFixture() {
    disk.lift_faults();
    for (std::size_t call = 0; call < sim::call_kinds; ++call) {
      disk.release(static_cast<sim::Call>(call));
    }
    if (process) wind_up();
  }

  // -- life
  Result<void> start() {
    process = std::make_unique<Process>(*this);
    std::optional<Result<void>> result;
    process->shard.start([&](Result<void> r) { result = std::move(r); });
    const bool ended = run_until([&] { return result.has_value(); });
    CHECK(ended);
    if (!ended) return fail(Errc::timed_out);
    return *result;
  }
  void must_start() {
    const auto started = start();
    INFO(disk.trace());
    REQUIRE((started ? "" : started.error().to_string()) == "");
  }
  // The orderly end.
  void stop() {
    wind_up();
    clients.replies.clear();
  }
  void restart() {
    stop();
    must_start();
  }
  void crash(const sim::CrashPolicy& policy) {
    if (disk.has_power()) disk.crash(policy);
    if (process) wind_up();
    disk.no_crash();
    disk.power_on();
    clients.replies.clear();
  }

  // -- the turn
  void turn() {
    disk.reap();
    process->timers.fire(clock.now());
    more = process->shard.turn();
  }
  bool is_idle() const { return disk.in_flight() == 0 && !more; }
  // Turns until nothing can happen without time passing.
  void settle() {
    for (int i = 0; i < 20'000; ++i) {
      turn();
      if (is_idle() && process->timers.next_deadline() > clock.now()) return;
    }
    FAIL("the shard never comes to rest\n" + disk.trace());
  }
  // Some turns while the disk holds something back, so that it never comes to rest.
  void settle_held() {
    for (int i = 0; i < 200; ++i) turn();
  }
  // Lets time pass when there is nothing else to do; gives up after two minutes of it.
  bool run_until(const std::function<bool()>& condition) {
    const Instant end = clock.now() + seconds(120);
    for (int i = 0; i < 200'000; ++i) {
      if (condition()) return true;
      turn();
      if (condition()) return true;
      if (!is_idle()) continue;
      const Instant next = process->timers.next_deadline();
      if (next == instant_never || next > end) return false;
      clock.advance_to(next);
    }
    return false;
  }
  void advance(Duration passed) {
    const Instant end = clock.now() + passed;
    settle();
    while (process->timers.next_deadline() <= end) {
      clock.advance_to(process->timers.next_deadline());
      settle();
    }
    clock.advance_to(end);
    settle();
  }

  // -- requests
  static constexpr ClientHandle alice{1}, bob{2};

  // Sends and does not wait.
  std::uint64_t send(RequestBody body, ClientHandle client = alice) {
    const std::uint64_t id = next_request_id++;
    process->shard.handle(client, {id, std::move(body)});
    return id;
  }
  // Everything that came under this id, taken out.
  std::vector<Reply> take(std::uint64_t id, ClientHandle client = alice) {
    auto& all = clients.replies[client];
    std::vector<Reply> out;
    for (auto& reply : all) {
      if (reply.id == id) out.push_back(std::move(reply));
    }
    std::erase_if(all, [&](const Reply& reply) { return reply.id == id; });
    return out;
  }
  bool has_reply(std::uint64_t id, ClientHandle client = alice) {
    return std::ranges::any_of(clients.replies[client], [&](const auto& r) { return r.id == id; });
  }
  // The one answer to this request.
  ReplyBody wait(std::uint64_t id, ClientHandle client = alice) {
    if (!run_until([&] { return has_reply(id, client); })) {
      FAIL("no answer\n" + disk.trace());
    }
    auto replies = take(id, client);
    REQUIRE(replies.size() == 1);
    return std::move(replies.front().body);
  }
  ReplyBody call(RequestBody body, ClientHandle client = alice) {
    return wait(send(std::move(body), client), client);
  }
  // The answer as the kind that is expected; names the error otherwise.
  template <class Expected>
  Expected expect(ReplyBody body) {
    if (auto* error = std::get_if<Error>(&body)) {
      if constexpr (!std::is_same_v<Expected, Error>) FAIL("refused: " + error->to_string());
    }
    REQUIRE(std::holds_alternative<Expected>(body));
    return std::move(std::get<Expected>(body));
  }
  Errc refusal(ReplyBody body) {
    REQUIRE(std::holds_alternative<Error>(body));
    return std::get<Error>(body).code;
  }

  TopicInfoReply create(std::string_view name, std::uint32_t partitions = 1,
                        std::vector<std::string_view> settings = {}) {
    return expect<TopicInfoReply>(call(CreateTopicRequest{name, partitions, std::move(settings)}));
  }
  static ProduceRequest produce_request(std::string_view topic, const Bytes& batch,
                                        Ack ack = Ack::durable, PartitionIndex partition = 0) {
    return {{topic, {}}, partition, ack, view_of(batch)};
  }
  ReplyBody produce(std::string_view topic, const Bytes& batch, Ack ack = Ack::durable,
                    PartitionIndex partition = 0) {
    return call(produce_request(topic, batch, ack, partition));
  }
  ProducedReply must_produce(std::string_view topic, std::string_view payload,
                             PartitionIndex partition = 0) {
    return expect<ProducedReply>(produce(topic, make_batch(payload), Ack::durable, partition));
  }
  static FetchRequest fetch_request(std::string_view topic, std::uint64_t offset,
                                    std::uint32_t wait_ms = 0, PartitionIndex partition = 0) {
    FetchRequest request;
    request.topic.name = topic;
    request.partition = partition;
    request.offset = Offset{offset};
    request.wait_ms = wait_ms;
    return request;
  }
  // All payloads from `offset` to the end.
  std::vector<std::string> read_all(std::string_view topic, std::uint64_t offset = 0,
                                    PartitionIndex partition = 0) {
    std::vector<std::string> out;
    for (int i = 0; i < 10'000; ++i) {
      const auto reply = expect<FetchedReply>(call(fetch_request(topic, offset, 0, partition)));
      const auto payloads = payloads_of(reply.data);
      out.insert(out.end(), payloads.begin(), payloads.end());
      if (reply.next_offset.value == offset) return out;
      offset = reply.next_offset.value;
    }
    FAIL("a reader that never gets to the end");
    return out;
  }
  static std::vector<std::string> payloads_of(const std::vector<Buffer>& data) {
    std::vector<std::string> out;
    for (const auto& buffer : data) {
      for (const auto& event : all_events_of(buffer.bytes())) out.push_back(event.payload);
    }
    return out;
  }
  std::vector<std::string> topic_names() {
    std::vector<std::string> out;
    for (const auto& row : expect<TopicListReply>(call(ListTopicsRequest{})).topics) {
      out.push_back(row.name);
    }
    return out;
  }

  struct Process {
    explicit Process(ShardFixture& f)
        : slabs(4 * MiB),
          shard(
              {f.disk, f.clock, timers, slabs, f.random, f.clients, f.live, metrics, f.cluster_id},
              f.options, f.memory) {}
    Timers timers;
    SlabPool slabs;
    ShardMetrics metrics;
    Shard shard;
  };

  Random random;
  sim::SimDisk disk;
  sim::SimClock clock;
  BrokerOptions options;
  Shard::Memory memory{512 * KiB, 1 * MiB};
  ClusterId cluster_id;
  RecordingClients clients;
  RecordingLive live;
  std::unique_ptr<Process> process;
  std::uint64_t next_request_id = 1;
  bool more = false;

 private:
  void wind_up() {
    bool stopped = false;
    process->shard.stop([&](const Result<void>&) { stopped = true; });
    const bool ended = run_until([&] { return stopped; });
    INFO(disk.trace());
    REQUIRE(ended);
    REQUIRE(run_until([&] { return disk.in_flight() == 0; }));
    process.reset();
  }
};

// A started one.
class RunningShard : public ShardFixture {
 public:
  explicit RunningShard(std::uint64_t seed = 1,
                        BrokerOptions broker_options = small_broker_options())
      : ShardFixture(seed, std::move(broker_options)) {
    must_start();
  }
};

}  // namespace millrace::test
