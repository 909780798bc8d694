#include "tests/sim/sim_producer.h"
#include "tests/sim/simulation.h"

#include <fmt/core.h>

#include <algorithm>

namespace millrace::sim {
namespace {

// Virtual time within which everything must work again.
constexpr Duration patience = seconds(90);

}  // namespace

// No more trouble from here on.
void Simulation::finish() {
  note("calm");
  end_trouble();
  disk_.no_crash();
  disk_.set_latency_reaps(0);
  process_.ports().busy.clear();
  process_.advance(patience);
  hear(SIZE_MAX);
  check_g8_all_answered(oracle, seconds(70));
  if (finding()) return;
  for (const auto fault :
       {FaultClass::recovery, FaultClass::rot, FaultClass::foreign, FaultClass::unreadable}) {
    options.faults.reset(static_cast<std::size_t>(fault));
  }
  workload_.chance(1, 2) ? die(any_policy()) : stop_and_start();
  if (!finding() && !oracle.is_calm) die(CrashPolicy::none());
  if (!finding()) check_live();
  if (!finding()) drain_producers();
  if (!finding()) read_everything(false);
  if (finding()) return;
  die(CrashPolicy::none());
  if (!finding()) read_everything(false);
  if (finding() || !damage_.has_rot()) return;
  // The same with the rot taken away: the medium is edited while the broker is down.
  if (!process_.stop()) return oracle.fail("G8", "an orderly stop never came to an end");
  bury();
  damage_.heal();
  note("the rot is taken away");
  start();
  if (!finding()) read_everything(true);
}

// Every partition takes a batch and acks it.
void Simulation::check_live() {
  note("every partition takes a batch");
  for (TopicIndex i = 0; i < oracle.topics.size(); ++i) {
    const TopicRecord& topic = oracle.topics[i];
    if (topic.state != TopicRecord::State::standing || !topic.is_served) continue;
    for (PartitionIndex p = 0; p < topic.partitions && !finding(); ++p) {
      if (topic.parts[p].may_refuse || topic.parts[p].was_lied_to) continue;
      SentBatch& batch = oracle.new_batch();
      batch.topic = i;
      batch.partition = p;
      fill_batch(batch, workload_, options.events_max, 100);
      auto view = BatchView::parse(batch.bytes);
      const Instant end = clock_.now() + patience;
      std::string reason = "no answer";
      while (!batch.is_acked && clock_.now() < end && !finding()) {
        ++batch.attempts;
        RequestRecord record;
        record.kind = RequestKind::produce;
        record.topic = i;
        record.partition = p;
        record.tag = batch.tag;
        const auto answer =
            call(record, ProduceRequest{{topic.name, topic.id}, p, Ack::durable, *view});
        const auto* error = answer ? std::get_if<Error>(&*answer) : nullptr;
        if (error != nullptr) reason = error->to_string();
        if (!batch.is_acked) process_.advance(seconds(1));
      }
      if (!batch.is_acked && !finding()) {
        oracle.fail("G1",
                    fmt::format("{} takes nothing {} s after the faults ended: {}",
                                place_text(oracle, i, p), patience.ns / 1'000'000'000, reason));
      }
    }
  }
}

void Simulation::drain_producers() {
  note("producers get to their ends");
  const auto is_done = [&](const auto& client) { return client->is_done(); };
  for (int round = 0; round < 200 && !finding(); ++round) {
    for (auto& client : clients_) client->finish();
    process_.advance(milliseconds(500));
    hear(SIZE_MAX);
    if (std::all_of(clients_.begin(), clients_.end(), is_done)) return;
  }
  if (finding() || oracle.expects_damage) return;
  oracle.fail("G4", "a producer's retries never came to an end after the faults ended");
}

void Simulation::read_everything(bool healed) {
  note("all is read");
  for (TopicIndex i = 0; i < oracle.topics.size(); ++i) {
    const TopicRecord& topic = oracle.topics[i];
    if (topic.state != TopicRecord::State::standing || !topic.is_served) continue;
    for (PartitionIndex p = 0; p < topic.partitions && !finding(); ++p) {
      FullRead read{i, p, topic.parts[p].start_told, 0, {}, {}};
      observer_.set_reading(&read);
      std::uint64_t cursor = read.start;
      bool at_end = false;
      const std::uint32_t bytes_max = workload_.chance(1, 2) ? 1'000'000 : 3000;
      for (int n = 0; n < 20'000 && !at_end && !finding(); ++n) {
        RequestRecord record;
        record.kind = RequestKind::fetch;
        record.topic = i;
        record.partition = p;
        record.offset = cursor;
        const auto answer =
            call(record, FetchRequest{{topic.name, topic.id}, p, Offset{cursor}, 1, bytes_max, 0});
        const auto* fetched = answer ? std::get_if<FetchedReply>(&*answer) : nullptr;
        const auto* error = answer ? std::get_if<Error>(&*answer) : nullptr;
        if (fetched != nullptr) {
          read.end = fetched->end_offset.value;
          at_end = fetched->next_offset.value == cursor && cursor == read.end;
          cursor = fetched->next_offset.value;
        } else if (error != nullptr && error->code == Errc::corrupt && error->range_end > cursor) {
          read.holes.push_back({Offset{cursor}, Offset{error->range_end}});
          cursor = error->range_end;
        } else if (error != nullptr && error->code == Errc::offset_out_of_range &&
                   error->range_begin > cursor) {
          // Retention went on; what was read below the new start does not count.
          read.start = cursor = error->range_begin;
          read.batches.clear();
        } else if (topic.parts[p].was_lied_to) {
          break;
        } else {
          oracle.fail("G1",
                      fmt::format("{} cannot be read at offset {}: {}", place_text(oracle, i, p),
                                  cursor, error != nullptr ? error->to_string() : "no answer"));
        }
      }
      observer_.set_reading(nullptr);
      if (finding()) return;
      read.start = std::max(read.start, topic.parts[p].start_told);
      check_g1_all_there(oracle, read);
      check_g3_sessions(oracle, read);
      check_g7_holes(oracle, read);
      if (healed) check_g7_healed(oracle, read);
      oracle.counts.work("full reads");
    }
  }
}

}  // namespace millrace::sim
