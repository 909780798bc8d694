#include "tests/enumerate/shard_machine.h"

#include "tests/sim/sim_storage.h"

#include <algorithm>

namespace millrace::test {
namespace {

constexpr int restarts_max = 6;
constexpr ClientHandle client{1};

BrokerOptions machine_options() {
  BrokerOptions options;
  LogOptions& log = options.topic_defaults;
  log = sim::small_log_options();
  log.segment_bytes = 32 * KiB;
  log.preallocate_bytes_min = 8 * KiB;
  log.preallocate_bytes_max = 16 * KiB;
  log.retention_bytes = 72 * KiB;
  log.checkpoint_interval_bytes = 16 * KiB;
  log.index_interval_bytes = 4 * KiB;
  log.tail_cache_bytes = 16 * KiB;
  return options;
}

// Answers that say that nothing was stored (docs/wire-protocol.md).
bool means_not_stored(Errc code) {
  return code == Errc::storage_full || code == Errc::overloaded || code == Errc::shutting_down;
}

}  // namespace

std::string error_of(const std::optional<ReplyBody>& reply) {
  if (!reply) return "never answered";
  const auto* error = std::get_if<Error>(&*reply);
  return error != nullptr ? error->to_string() : "an answer of another kind";
}

std::optional<Errc> code_of(const std::optional<ReplyBody>& reply) {
  const auto* error = reply ? std::get_if<Error>(&*reply) : nullptr;
  return error != nullptr ? std::optional(error->code) : std::nullopt;
}

// -- the process
// --------------------------------------------------------------------------------------------

class ShardMachine::Clients final : public ClientPort {
 public:
  SendResult send(ClientHandle, Reply& reply) override {
    const std::uint64_t id = reply.id;
    replies.insert_or_assign(id, std::move(reply.body));
    return SendResult::sent;
  }
  std::map<std::uint64_t, ReplyBody> replies;
};

class ShardMachine::Live final : public LivePort {
 public:
  void publish(std::string_view, PartitionIndex, const Buffer&) override {}
};

struct ShardMachine::Process {
  explicit Process(ShardMachine& m)
      : slabs(4 * MiB),
        options(machine_options()),
        shard({m.disk_, m.clock_, timers, slabs, m.random_, clients, live, metrics, cluster()},
              options, {96 * KiB, 64 * KiB}) {}
  static ClusterId cluster() {
    ClusterId id;
    for (std::size_t i = 0; i < 16; ++i) id.bytes[i] = static_cast<std::uint8_t>(i + 1);
    return id;
  }
  Timers timers;
  SlabPool slabs;
  ShardMetrics metrics;
  Clients clients;
  Live live;
  BrokerOptions options;
  Shard shard;
};

ShardMachine::ShardMachine(std::uint64_t seed, Script script)
    : script_(script), random_(seed), disk_(random_) {}

ShardMachine::~ShardMachine() {
  disk_.lift_faults();
  if (process_) wind_up();
}

std::unique_ptr<Machine> ShardMachine::fork(std::uint64_t seed, sim::SimImage image) const {
  auto machine = std::make_unique<ShardMachine>(seed, script_);
  machine->topics_ = topics_;
  machine->next_incarnation_ = next_incarnation_;
  machine->may_have_twins_ = may_have_twins_;
  machine->clock_ = clock_;
  machine->disk_.adopt(std::move(image));
  return machine;
}

void ShardMachine::require(bool condition, const std::string& what) {
  if (!condition) throw Broken(what + "\nlast operations:\n" + disk_.trace());
}

void ShardMachine::turn() {
  disk_.reap();
  process_->timers.fire(clock_.now());
  more_ = process_->shard.turn();
}

bool ShardMachine::run_until(const std::function<bool()>& condition) {
  const Instant end = clock_.now() + seconds(120);
  for (int i = 0; i < 50'000; ++i) {
    if (condition()) return true;
    turn();
    if (condition()) return true;
    if (disk_.in_flight() != 0 || more_) continue;
    const Instant next = process_->timers.next_deadline();
    if (next == instant_never || next > end) return false;
    clock_.advance_to(next);
  }
  return false;
}

void ShardMachine::settle() {
  for (int i = 0; i < 20'000; ++i) {
    turn();
    if (disk_.in_flight() == 0 && !more_ && process_->timers.next_deadline() > clock_.now()) return;
  }
  require(false, "the shard never comes to rest");
}

Result<void> ShardMachine::start() {
  process_ = std::make_unique<Process>(*this);
  auto result = std::make_shared<std::optional<Result<void>>>();
  process_->shard.start([result](Result<void> r) { *result = std::move(r); });
  const bool ended = run_until([&] { return result->has_value(); });
  require(ended, "a start that never ends");
  if (lost()) return fail(Errc::storage_error, "the power is off");
  if (!**result) wind_up();
  return **result;
}

void ShardMachine::wind_up() {
  auto stopped = std::make_shared<bool>(false);
  process_->shard.stop([stopped](const Result<void>&) { *stopped = true; });
  require(run_until([&] { return *stopped; }), "a stop that never ends");
  require(run_until([&] { return disk_.in_flight() == 0; }), "I/O after the stop never ends");
  process_.reset();
}

void ShardMachine::stop() {
  if (idle()) return;
  if (before_stop) before_stop();
  wind_up();
}

void ShardMachine::lose_power(const sim::CrashPolicy& policy) {
  if (disk_.has_power()) disk_.crash(policy);
  if (process_) wind_up();
  disk_.no_crash();
  disk_.power_on();
}

bool ShardMachine::wants_restart() {
  if (process_ == nullptr) return false;
  std::map<std::string, std::size_t> served;
  for (const auto& status : process_->shard.partition_statuses()) {
    if (status.state != "ok") return true;
    ++served[status.topic];
  }
  // A topic that could not be read at the start is named in diag, and nowhere else.
  for (const auto& [name, all] : topics_) {
    const Incarnation* topic = standing(name);
    if (topic != nullptr && served[name] < topic->partitions.size()) return true;
  }
  return false;
}

std::uint64_t ShardMachine::send(RequestBody body) {
  const std::uint64_t id = next_request_++;
  process_->shard.handle(client, {id, std::move(body)});
  return id;
}

std::optional<ReplyBody> ShardMachine::answer(std::uint64_t id) {
  auto& replies = process_->clients.replies;
  // What a dying process says is not heard.
  (void)run_until([&] { return lost() || replies.contains(id); });
  const auto found = replies.find(id);
  if (found == replies.end() || lost()) {
    require(lost(), "a request that is never answered");
    return std::nullopt;
  }
  ReplyBody body = std::move(found->second);
  replies.erase(found);
  return body;
}

// -- verbs: life
// -------------------------------------------------------------------------------------------

void ShardMachine::open() {
  if (lost() || process_ != nullptr) return;
  auto started = start();
  for (int tries = 1; tolerant_ && !started && tries < 6 && !lost(); ++tries) started = start();
  require(lost() || started || tolerant_, "start: " + (started ? "" : started.error().to_string()));
}

void ShardMachine::restart() {
  if (idle() || ++restarts_ > restarts_max) return;
  stop();
  open();
}

void ShardMachine::wait(Duration time) {
  if (idle()) return;
  const Instant end = clock_.now() + time;
  settle();
  while (!lost() && process_->timers.next_deadline() <= end) {
    clock_.advance_to(process_->timers.next_deadline());
    settle();
  }
  clock_.advance_to(end);
  settle();
}

void ShardMachine::inject(const sim::SimDisk::Fault& fault) {
  tolerant_ = true;
  if (!lost()) disk_.inject(fault);
}

void ShardMachine::lift_faults() {
  if (!lost()) disk_.lift_faults();
}

// -- verbs: topics
// -----------------------------------------------------------------------------------------

ShardMachine::Incarnation& ShardMachine::begin(const std::string& name, std::uint32_t partitions) {
  auto& all = topics_[name];
  all.emplace_back();
  all.back().number = next_incarnation_++;
  for (PartitionIndex p = 0; p < partitions; ++p) all.back().partitions[p];
  return all.back();
}

ShardMachine::Incarnation* ShardMachine::standing(const std::string& name) {
  for (auto& topic : topics_[name]) {
    if (topic.fate == Fate::stands) return &topic;
  }
  return nullptr;
}

std::string ShardMachine::directory_with_events(const std::string& name) {
  const Incarnation* topic = standing(name);
  if (topic == nullptr) return {};
  const bool holds_events = std::any_of(topic->partitions.begin(), topic->partitions.end(),
                                        [](const auto& p) { return !p.second.acked.empty(); });
  return holds_events ? "topics/" + topic->id.to_hex() : std::string();
}

void ShardMachine::create(const std::string& name, std::uint32_t partitions) {
  if (idle() || standing(name) != nullptr) return;
  Incarnation& topic = begin(name, partitions);
  created(name, topic, call(CreateTopicRequest{name, partitions, {}}));
}

void ShardMachine::created(const std::string& name, Incarnation& topic,
                           const std::optional<ReplyBody>& reply) {
  if (lost()) return;
  if (const auto* info = reply ? std::get_if<TopicInfoReply>(&*reply) : nullptr) {
    topic.fate = Fate::stands;
    topic.id = info->id;
    return;
  }
  // A refused creation whose last step failed may stand after the next start.
  require(tolerant_, "create " + name + ": " + error_of(reply));
  may_have_twins_ = true;
}

void ShardMachine::remove(const std::string& name) {
  Incarnation* topic = idle() ? nullptr : standing(name);
  if (topic == nullptr) return;
  topic->fate = Fate::deleting;
  removed(*topic, call(DeleteTopicRequest{{name, {}}}));
}

void ShardMachine::removed(Incarnation& topic, const std::optional<ReplyBody>& reply) {
  if (lost()) return;
  if (reply && std::holds_alternative<DoneReply>(*reply)) {
    topic.fate = Fate::gone;
    return;
  }
  require(tolerant_, "delete: " + error_of(reply));
}

void ShardMachine::replace(const std::string& name, std::uint32_t partitions) {
  Incarnation* old = idle() ? nullptr : standing(name);
  if (old == nullptr) return;
  const std::uint64_t old_number = old->number;
  old->fate = Fate::deleting;
  Incarnation& topic = begin(name, partitions);
  const auto deletion = send(DeleteTopicRequest{{name, {}}});
  const auto creation = send(CreateTopicRequest{name, partitions, {}});
  const auto deleted = answer(deletion);
  for (auto& other : topics_[name]) {
    if (other.number == old_number) removed(other, deleted);
  }
  if (!lost()) created(name, topic, answer(creation));
}

// -- verbs: events
// -----------------------------------------------------------------------------------------

void ShardMachine::produce(const std::string& name, PartitionIndex partition,
                           std::size_t payload_bytes, int count) {
  for (int i = 0; i < count; ++i) {
    Incarnation* topic = idle() ? nullptr : standing(name);
    if (topic == nullptr) return;
    produce_one(name, *topic, partition, payload_bytes);
    if (tolerant_ && !lost() && wants_restart()) restart();
  }
}

void ShardMachine::produce_one(const std::string& name, Incarnation& topic, PartitionIndex index,
                               std::size_t payload_bytes) {
  Partition& partition = topic.partitions[index];
  const bool in_session = index == 0;
  std::string payload = partition.pending;
  Bytes batch = partition.pending_batch;
  if (batch.empty()) {
    payload = name + "#" + std::to_string(topic.number) + "/" + std::to_string(index) + "/" +
              std::to_string(partition.next_number++) + " ";
    payload.resize(std::max(payload.size(), payload_bytes), 'x');
    batch = in_session ? make_batch(payload, {1000 + topic.number, 0, partition.next_sequence})
                       : make_batch(payload);
  }
  partition.never.erase(payload);
  partition.unknown.insert(payload);
  if (in_session) {
    partition.pending = payload;
    partition.pending_batch = batch;
  }
  const auto reply = call(ProduceRequest{{name, {}}, index, Ack::durable, view_of(batch)});
  if (!lost()) produced(partition, payload, batch, in_session, reply);
}

void ShardMachine::produced(Partition& partition, const std::string& payload, const Bytes& batch,
                            bool in_session, const std::optional<ReplyBody>& reply) {
  if (const auto* ack = reply ? std::get_if<ProducedReply>(&*reply) : nullptr) {
    const std::uint64_t offset = ack->offsets.begin.value;
    const auto [place, added] = partition.acked.emplace(offset, payload);
    require(added || place->second == payload, "one offset was given to two events");
    partition.unknown.erase(payload);
    if (!in_session) return;
    partition.last_batch = batch;
    partition.last_offset = offset;
    partition.pending_batch.clear();
    partition.pending.clear();
    ++partition.next_sequence;
    return;
  }
  require(tolerant_, "produce: " + error_of(reply));
  const auto code = code_of(reply);
  // A batch that waited in doubt from an earlier attempt stays in doubt.
  if (!code || !means_not_stored(*code)) return;
  if (in_session) return;  // it is sent again, the same
  partition.unknown.erase(payload);
  partition.never.insert(payload);
  wait(seconds(1));
}

void ShardMachine::trim(const std::string& name, std::uint64_t start, PartitionIndex index) {
  Incarnation* topic = idle() ? nullptr : standing(name);
  if (topic == nullptr) return;
  Partition& partition = topic->partitions[index];
  partition.trim_asked = std::max(partition.trim_asked, start);
  const auto reply = call(
      TrimTopicRequest{{name, {}}, index, {Where::Kind::offset, static_cast<std::int64_t>(start)}});
  if (lost()) return;
  if (const auto* done = std::get_if<OffsetListReply>(&*reply)) {
    partition.start = std::max(partition.start, done->start_offset.value);
    return;
  }
  require(tolerant_, "trim: " + error_of(reply));
}

void ShardMachine::fetch_all(const std::string& name, PartitionIndex index) {
  Incarnation* topic = idle() ? nullptr : standing(name);
  if (topic == nullptr) return;
  const Partition& partition = topic->partitions[index];
  std::uint64_t offset = partition.start;
  const std::uint64_t end = partition.acked.empty() ? 0 : partition.acked.rbegin()->first + 1;
  while (offset < end) {
    FetchRequest request{{name, {}}, index, Offset{offset}};
    request.wait_ms = 0;
    const auto reply = call(request);
    if (lost()) return;
    const auto* fetched = std::get_if<FetchedReply>(&*reply);
    require(fetched != nullptr || tolerant_, "fetch: " + error_of(reply));
    if (fetched == nullptr || fetched->next_offset.value <= offset) return;
    offset = fetched->next_offset.value;
  }
}

}  // namespace millrace::test
