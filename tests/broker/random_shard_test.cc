// Random producers, readers and losses of power against a whole shard, and a list of what was
// promised to them.
#include "tests/broker/shard_fixture.h"

#include <map>

using namespace millrace;
using namespace millrace::test;

namespace {

constexpr std::uint32_t partitions = 2;

// One session per partition: sends one batch at a time, again after a loss of power, until it knows
// the answer.
struct Producer {
  std::uint64_t next_sequence = 0;
  Bytes batch;  // in doubt or on its way; empty: none
  std::string payload;
  std::uint64_t request_id = 0;
};

class Run {
 public:
  explicit Run(std::uint64_t seed) : shard_(seed), random_(seed * 7919) {
    shard_.disk.set_latency_reaps(random_.below(4));
    shard_.create("orders", partitions);
    subscribe();
  }

  void step() {
    const auto what = random_.below(100);
    const auto partition = static_cast<PartitionIndex>(random_.below(partitions));
    if (what < 40) return produce(partition);
    if (what < 50) return fetch(partition);
    if (what < 53) return lose_power();
    if (what < 54) return orderly_restart();
    if (what < 60)
      return shard_.advance(milliseconds(static_cast<std::int64_t>(random_.below(2000))));
    shard_.turn();
    hear();
  }

  void finish() {
    lose_power();
    for (PartitionIndex p = 0; p < partitions; ++p) {
      while (!producers_[p].batch.empty()) {
        produce(p);
        shard_.advance(seconds(1));
        hear();
      }
    }
    check_everything();
  }

 private:
  // A payload at an offset, told to anybody: it stays (G1, G2, G6).
  void promise(PartitionIndex partition, std::uint64_t offset, const std::string& payload) {
    const auto [place, added] = promised_[partition].emplace(offset, payload);
    if (!added) REQUIRE(place->second == payload);
  }
  void promise_all(PartitionIndex partition, ByteView bytes) {
    BatchCursor cursor(bytes);
    for (auto batch = cursor.next(); batch; batch = cursor.next()) {
      std::uint64_t offset = batch->header().base_offset.value;
      for (const auto& event : events_of(*batch)) promise(partition, offset++, event.payload);
    }
  }

  void produce(PartitionIndex partition) {
    Producer& producer = producers_[partition];
    if (producer.request_id != 0) return;
    if (producer.batch.empty()) {
      producer.payload = std::to_string(partition) + "/" + std::to_string(producer.next_sequence) +
                         std::string(random_.below(3000), 'x');
      producer.batch = make_batch(producer.payload, {100 + partition, 0, producer.next_sequence});
    }
    producer.request_id = shard_.send(
        ShardFixture::produce_request("orders", producer.batch, Ack::durable, partition));
  }

  void fetch(PartitionIndex partition) {
    const auto& known = promised_[partition];
    const auto from = known.empty() ? 0 : random_.below(known.size());
    const auto id = shard_.send(ShardFixture::fetch_request("orders", from, 0, partition));
    auto body = shard_.wait(id);
    if (const auto* error = std::get_if<Error>(&body)) {
      INFO(error->to_string());
      // A promise may be about more than has been heard of; what was heard of can be read.
      REQUIRE(error->code == Errc::offset_out_of_range);
      REQUIRE(known.empty());
      return;
    }
    for (const auto& buffer : std::get<FetchedReply>(body).data)
      promise_all(partition, buffer.bytes());
    hear();
  }

  void subscribe() {
    for (PartitionIndex p = 0; p < partitions; ++p) {
      subscriptions_[p] = shard_.send(SubscribeRequest{p, {"orders", {}}, p, Offset{0}, 1u << 30});
    }
  }

  // Takes all that came.
  void hear() {
    for (PartitionIndex p = 0; p < partitions; ++p) {
      for (auto& reply : shard_.take(subscriptions_[p])) {
        if (const auto* push = std::get_if<PushedReply>(&reply.body)) {
          for (const auto& buffer : push->data) promise_all(p, buffer.bytes());
        }
      }
      Producer& producer = producers_[p];
      if (producer.request_id == 0 || !shard_.has_reply(producer.request_id)) continue;
      auto replies = shard_.take(producer.request_id);
      REQUIRE(replies.size() == 1);
      const auto reply = shard_.expect<ProducedReply>(std::move(replies[0].body));
      promise(p, reply.offsets.begin.value, producer.payload);
      ++producer.next_sequence;
      producer.batch.clear();
      producer.request_id = 0;
    }
    for (const auto& published : shard_.live.published)
      promise_all(published.partition, published.bytes);
    shard_.live.published.clear();
  }

  void start_again() {
    shard_.must_start();
    // Their requests died with the process; whether the batches did is not known.
    for (auto& [p, producer] : producers_) producer.request_id = 0;
    subscribe();
  }

  void lose_power() {
    for (auto i = random_.below(5); i > 0; --i) shard_.turn();
    hear();
    const sim::CrashPolicy policies[] = {sim::CrashPolicy::none(), sim::CrashPolicy::all(),
                                         sim::CrashPolicy::random(), sim::CrashPolicy::torn()};
    shard_.crash(policies[random_.below(4)]);
    start_again();
  }

  void orderly_restart() {
    hear();
    shard_.stop();
    start_again();
  }

  // G1, G2, G3, G4: what was promised is there, each sequence once and in order, without a gap.
  void check_everything() {
    for (PartitionIndex p = 0; p < partitions; ++p) {
      const auto events = shard_.read_all("orders", 0, p);
      for (const auto& [offset, payload] : promised_[p]) {
        REQUIRE(offset < events.size());
        REQUIRE(events[offset] == payload);
      }
      REQUIRE(events.size() == producers_[p].next_sequence);
      for (std::size_t i = 0; i < events.size(); ++i) {
        const auto expected = std::to_string(p) + "/" + std::to_string(i);
        REQUIRE(events[i].substr(0, events[i].find('x')) == expected);
      }
    }
  }

  RunningShard shard_;
  Random random_;
  std::map<PartitionIndex, Producer> producers_;
  std::map<PartitionIndex, std::uint64_t> subscriptions_;
  std::map<PartitionIndex, std::map<std::uint64_t, std::string>> promised_;
};

}  // namespace

TEST_CASE(
    "G1 to G6, PS-02: what was acked, delivered or published stays, through losses of power") {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    INFO("seed " << seed);
    Run run(seed);
    for (int i = 0; i < 400; ++i) run.step();
    run.finish();
  }
}
