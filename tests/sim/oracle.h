// The one record of what was promised to whom: every batch that a client made, every request and
// its fate, every topic and what anybody was told of its partitions.
//
// Clients and the broker's ports write to it, the checks (checks.h) read it and note findings.
// Three outcomes of a batch, never two: acked, refused, or unknown; unknown may be there once or
// not at all.
//
// Owner: Simulation. Thread: the only one. Numbers: `placed` holds batches by the offset at which
// somebody was told of them; such a place is a promise for ever, also after the batch was trimmed.
#pragma once

#include "broker/client_port.h"
#include "broker/requests.h"
#include "storage/base/ids.h"
#include "storage/log_options.h"
#include "tests/sim/sim_counts.h"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace millrace::sim {

using TopicIndex = std::size_t;

struct SentBatch {
  std::uint64_t tag = 0;
  TopicIndex topic = 0;
  PartitionIndex partition = 0;
  std::uint64_t producer_id = 0, sequence = 0;
  std::uint32_t epoch = 0, event_count = 0;
  std::vector<std::byte> bytes;
  unsigned attempts = 0, refusals = 0;
  Instant made;
  bool is_acked = false;              // durably
  std::optional<std::uint64_t> base;  // where anybody was told that it is

  // Every attempt was refused for certain.
  bool is_refused() const { return attempts > 0 && attempts == refusals; }
};

struct PlacedBatch {
  std::uint64_t tag = 0;
  std::uint32_t count = 0;
  WallTime append_time;
};

// What is known of a session in one partition: durable acks of its newest acked epoch.
struct SessionRecord {
  bool has_ack = false;
  std::uint32_t epoch = 0, epoch_sent = 0;
  std::uint64_t acked_end = 0;  // sequences below are acked, without a gap
  std::uint64_t acked_batches = 0;
};

struct PartitionRecord {
  std::map<std::uint64_t, PlacedBatch> placed;
  std::uint64_t start_told = 0, end_told = 0;
  std::uint64_t trim_asked = 0;
  std::map<std::uint64_t, SessionRecord> sessions;
  // Of this life of the process.
  std::uint64_t last_ack = 0;
  std::optional<std::uint64_t> published_end;
  // Damage that the simulator did: offsets that may be named corrupt, and what else it excuses.
  std::vector<OffsetRange> rotten;
  bool is_rotten = false;        // some byte of its files is not what was written
  bool lost_checkpoint = false;  // sessions and the start may be forgotten
  bool may_refuse = false;       // damage that stops appends
  bool was_lied_to = false;      // the disk said that it wrote and did not
  bool is_open = true;           // as the newest description says
  std::string state = "ok";
};

struct TopicRecord {
  enum class State { creating, maybe, standing, deleting, gone };
  std::string name;
  TopicId id;
  std::uint32_t partitions = 1;
  LogOptions log;
  bool live = true;
  State state = State::creating;
  bool is_served = true;     // as the newest start found it
  bool was_lied_to = false;  // of its description
  std::vector<PartitionRecord> parts;
};

enum class RequestKind {
  produce,
  fetch,
  subscribe,
  credit,
  unsubscribe,
  list_offsets,
  create,
  list,
  first_list,
  describe,
  remove,
  trim,
  other,
};
// What a hostile request must be answered with.
enum class Expect { any, refusal, duplicate };

struct RequestRecord {
  RequestKind kind = RequestKind::other;
  ClientHandle client;
  TopicIndex topic = 0;
  PartitionIndex partition = 0;
  std::uint64_t tag = 0;
  Ack ack = Ack::durable;
  std::uint64_t offset = 0;  // fetches and subscriptions: the next offset to come
  std::uint32_t bytes_max = 0;
  std::int64_t credit = 0;  // of a subscription: granted and not used up
  Where where;
  Expect expect = Expect::any;
  Instant sent;
  bool is_abandoned = false;  // nobody waits for it any more
};

struct Finding {
  std::string promise, text;
};

class Oracle {
 public:
  // The first finding counts: what follows may be its consequence.
  void fail(std::string_view promise, std::string text);
  const std::optional<Finding>& finding() const { return finding_; }

  // -- batches
  SentBatch& new_batch() {
    SentBatch& batch = batches_[++last_tag_];
    batch.tag = last_tag_;
    batch.made = now;
    return batch;
  }
  SentBatch* batch(std::uint64_t tag) {
    const auto found = batches_.find(tag);
    return found == batches_.end() ? nullptr : &found->second;
  }
  const std::map<std::uint64_t, SentBatch>& batches() const { return batches_; }
  // Events of batches say when they happened: at this moment plus their batch's tag. The clocks of
  // clients are far ahead of the broker's.
  static constexpr std::int64_t event_time_zero = 4'100'000'000'000'000'000;
  static std::uint64_t tag_of(const BatchHeader& header) {
    return static_cast<std::uint64_t>(header.max_event_time.ns - event_time_zero);
  }

  // -- topics
  std::vector<TopicRecord> topics;
  PartitionRecord& part(const RequestRecord& request) {
    return topics[request.topic].parts[request.partition];
  }
  std::optional<TopicIndex> find_topic(const TopicId& id) const;
  // The newest of this name that stands or may.
  std::optional<TopicIndex> find_standing(std::string_view name) const;

  // -- requests
  std::map<std::uint64_t, RequestRecord> requests;

  // -- now, told by the simulation
  Instant now;
  WallTime wall_max{INT64_MIN};  // that the broker's clock has ever shown
  // Before this life of the process, which cannot know, or by so little that it is believed.
  bool clock_was_set = false;
  std::uint64_t life = 0;       // of the process
  bool is_calm = false;         // no fault since the start of this life
  bool expects_damage = false;  // the seed's options say that bytes may change
  bool expects_errors = false;  // ... or that the disk has errors, other than being full
  Counts counts;

 private:
  std::optional<Finding> finding_;
  std::map<std::uint64_t, SentBatch> batches_;
  std::uint64_t last_tag_ = 0;
};

std::string place_text(const Oracle& oracle, TopicIndex topic, PartitionIndex partition);

}  // namespace millrace::sim
