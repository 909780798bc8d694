#include "tests/sim/simulation.h"

#include "tests/sim/sim_admin.h"
#include "tests/sim/sim_hostile.h"
#include "tests/sim/sim_producer.h"
#include "tests/sim/sim_reader.h"

#include <fmt/core.h>

namespace millrace::sim {
namespace {

constexpr std::size_t story_max = 60;
constexpr std::uint64_t golden = 0x9E3779B97F4A7C15ull;
constexpr ClientHandle caller{1};

}  // namespace

Simulation::Simulation(SimOptions sim_options)
    : workload_(sim_options.seed * golden + 4),
      trouble_(sim_options.seed * golden + 5),
      disk_random_(sim_options.seed * golden + 2),
      disk_(disk_random_),
      observer_(oracle, disk_, clock_),
      process_((options = std::move(sim_options), options), disk_, clock_, observer_),
      damage_(oracle, disk_, trouble_) {
  random = &workload_;
  oracle.expects_damage = options.has(FaultClass::rot) || options.has(FaultClass::lying_disk);
  oracle.expects_errors = oracle.expects_damage || options.has(FaultClass::io_errors) ||
                          options.has(FaultClass::sync_error) ||
                          options.has(FaultClass::unreadable) || options.has(FaultClass::foreign);
  disk_.set_latency_reaps(options.latency_reaps);
}

Simulation::~Simulation() {
  end_trouble();
  if (disk_.has_power()) disk_.crash(CrashPolicy::none());
  if (process_.runs()) CHECK(process_.wind_up(), "a process without power comes to an end");
}

void Simulation::run() {
  begin();
  for (std::uint64_t i = 0; i < options.steps && !finding(); ++i) step();
  if (!finding()) finish();
  oracle.counts.work("disk operations", disk_.started());
  for (const auto& [key, n] : disk_.fault_counts()) {
    oracle.counts.fault(fmt::format("{} {}", call_name(key.first),
                                    key.second == Errc::ok ? "lie" : errc_name(key.second)),
                        n);
  }
  oracle.counts.fault("short write", disk_.short_writes());
  oracle.counts.row("ST-18", disk_.short_writes());
}

void Simulation::note(std::string text) {
  story_.push_back(fmt::format("{:.3f} s  {}", static_cast<double>(clock_.now().ns) / 1e9, text));
  if (story_.size() > story_max) story_.pop_front();
}

std::string Simulation::story() const {
  std::string text = "the newest steps:\n";
  for (const auto& line : story_) text += line + "\n";
  return text + "the newest operations of the disk:\n" + disk_.trace();
}

// -- requests
// -------------------------------------------------------------------------------------------------

std::uint64_t Simulation::send(RequestRecord record, RequestBody body) {
  sync_clock();
  const std::uint64_t id = next_request_++;
  record.sent = clock_.now();
  record.is_abandoned = process_.ports().may_drop(record.client);
  oracle.requests[id] = record;
  oracle.counts.work("requests");
  // Nobody is there: it is lost on the way.
  if (process_.runs() && disk_.has_power())
    process_.shard().handle(record.client, {id, std::move(body)});
  return id;
}

void Simulation::hear(std::size_t answers) {
  sync_clock();
  auto& inbox = process_.ports().inbox;
  for (; answers > 0 && !inbox.empty(); --answers) {
    SimPorts::Heard heard = std::move(inbox.front());
    inbox.pop_front();
    digest_ = (digest_ ^ heard.reply.id ^ (heard.reply.body.index() << 40)) * 1099511628211ull;
    if (called_ == heard.reply.id) answer_ = std::move(heard.reply.body);
    for (auto& client : clients_) {
      if (client->handle() != heard.client) continue;
      client->hear(heard.reply.id, heard.reply.body);
    }
  }
}

std::optional<ReplyBody> Simulation::call(RequestRecord record, RequestBody body) {
  record.client = caller;
  answer_.reset();
  called_ = send(record, std::move(body));
  process_.run_until(
      [&] {
        hear(SIZE_MAX);
        return answer_.has_value() || !disk_.has_power();
      },
      seconds(120));
  hear(SIZE_MAX);
  called_.reset();
  return std::exchange(answer_, std::nullopt);
}

// -- act
// --------------------------------------------------------------------------------------------------------

void Simulation::begin() {
  for (std::uint32_t i = 0; i < options.producers; ++i) {
    clients_.push_back(
        std::make_unique<SimProducer>(*this, ClientHandle{next_handle_++}, std::uint64_t{i}));
  }
  for (std::uint32_t i = 0; i < options.readers; ++i)
    clients_.push_back(std::make_unique<SimFetcher>(*this, ClientHandle{next_handle_++}));
  for (std::uint32_t i = 0; i < options.subscribers; ++i)
    clients_.push_back(std::make_unique<SimSubscriber>(*this, ClientHandle{next_handle_++}));
  auto admin = std::make_unique<SimAdmin>(*this, ClientHandle{next_handle_++});
  SimAdmin& first = *admin;
  clients_.push_back(std::move(admin));
  if (options.has(FaultClass::hostile))
    clients_.push_back(std::make_unique<SimHostile>(*this, ClientHandle{next_handle_++}));
  start();
  for (std::uint32_t i = 0; i < options.topics && !finding(); ++i)
    first.create(fmt::format("t{}", i));
  process_.advance(seconds(1));
  hear(SIZE_MAX);
}

void Simulation::step() {
  sync_clock();
  oracle.counts.work("steps");
  const std::uint64_t what = workload_.below(1000);
  if (what < 520) {
    act_client();
  } else if (what < 800) {
    for (std::uint64_t n = 1 + workload_.below(3); n > 0; --n) process_.turn();
  } else if (what < 920) {
    pass_time();
  } else {
    trouble();
  }
  hear(workload_.below(4));
  digest_ = (digest_ ^ disk_.started()) * 1099511628211ull;
  // The power went in the middle of a turn.
  if (!disk_.has_power()) die(CrashPolicy::none());
}

// Producers act most: they are what there is to promise.
void Simulation::act_client() {
  const std::size_t count = workload_.chance(1, 2) ? options.producers : clients_.size();
  clients_[workload_.below(count)]->act();
}

void Simulation::pass_time() {
  static constexpr std::int64_t most_ms[] = {2, 20, 200, 1500, 15'000};
  const auto most = most_ms[workload_.below(5)];
  process_.advance(
      milliseconds(static_cast<std::int64_t>(workload_.below(static_cast<std::uint64_t>(most)))));
}

// -- life of the process
// ------------------------------------------------------------------------------------------------

CrashPolicy Simulation::any_policy() {
  switch (trouble_.below(7)) {
    case 0:
    case 1: return CrashPolicy::none();
    case 2: return CrashPolicy::all();
    case 3: return CrashPolicy::prefix(trouble_.below(40));
    case 4: return CrashPolicy::torn();
    case 5: return CrashPolicy::torn();
    default: return CrashPolicy::random();
  }
}

// Which rows of the catalogue this loss of power is about.
void Simulation::count_torn() {
  Counts& counts = oracle.counts;
  if (disk_.pending_items() > 0) counts.row("ST-01");
  if (disk_.pending_names() > 0) counts.row("ST-30");
  for (const auto& flying : disk_.flying()) {
    const auto is = [&](std::string_view text) {
      return flying.path.find(text) != std::string::npos ||
             flying.to.find(text) != std::string::npos;
    };
    const bool is_name = flying.call == Call::rename || flying.call == Call::remove ||
                         flying.call == Call::open || flying.call == Call::sync_directory;
    if (flying.call == Call::rename && flying.to.ends_with(".segment")) counts.row("ST-24");
    if (flying.call == Call::sync_directory && is("pool")) counts.row("ST-24");
    const bool leaves = flying.path.ends_with(".segment") &&
                        (flying.call == Call::remove || flying.call == Call::rename);
    if (leaves) counts.row("ST-25");
    if (is_name && (is(".creating") || is(".deleted"))) counts.row("ST-27");
    if (flying.call == Call::synced_write && flying.path.ends_with("checkpoint"))
      counts.row("ST-08");
  }
}

void Simulation::die(const CrashPolicy& policy) {
  if (disk_.has_power()) {
    count_torn();
    note(fmt::format("the power goes, keep {}", policy.to_string()));
    disk_.crash(policy);
  } else {
    note("the power went");
  }
  oracle.counts.work("crashes");
  oracle.counts.row(policy.keep == CrashPolicy::Keep::kill ? "PS-02" : "PS-04");
  // Answers that had left before may have arrived or not.
  hear(workload_.chance(1, 2) ? SIZE_MAX : 0);
  if (!process_.wind_up()) {
    oracle.fail("G9", "a process without power never came to an end");
    return;
  }
  bury();
  start();
}

// The process is dead: its requests are, what they came to is in doubt, and the power comes back.
void Simulation::bury() {
  for (auto& client : clients_) client->on_disconnect();
  oracle.requests.clear();
  for (auto& topic : oracle.topics) {
    if (topic.state == TopicRecord::State::creating) topic.state = TopicRecord::State::maybe;
  }
  process_.ports().gone.clear();
  process_.ports().busy.clear();
  disk_.no_crash();
  if (!disk_.has_power()) disk_.power_on();
  damage();
}

// Bytes at rest change while nobody looks. The medium is edited, so what was pending is settled.
void Simulation::damage() {
  if (disk_.pending_items() > 0) return;
  if (options.has(FaultClass::rot) && trouble_.chance(1, 3)) damage_.rot();
  if (options.has(FaultClass::foreign) && trouble_.chance(1, 3)) damage_.add_foreign_file();
  if (!options.has(FaultClass::unreadable) || !trouble_.chance(1, 4)) return;
  has_trouble_ = true;
  damage_.make_unreadable();
}

void Simulation::stop_and_start() {
  note("an orderly restart");
  oracle.counts.work("orderly restarts");
  oracle.counts.row("PS-01");
  process_.ports().busy.clear();
  end_trouble();
  if (!process_.stop()) return oracle.fail("G8", "an orderly stop never came to an end");
  hear(SIZE_MAX);
  if (!disk_.has_power()) note("the power went");
  bury();
  start();
}

void Simulation::start() {
  if (trouble_.chance(3, 4)) end_trouble();
  for (int depth = 0;; ++depth) {
    ++oracle.life;
    oracle.clock_was_set = clock_was_set_;
    for (auto& topic : oracle.topics) {
      for (auto& part : topic.parts) {
        part.last_ack = 0;
        part.published_end.reset();
      }
    }
    faults_before_ = disk_.faults_hit();
    oracle.is_calm = !has_trouble_;
    if (options.has(FaultClass::recovery) && depth < 5 && oracle.life > 1 && trouble_.chance(1, 3))
      disk_.crash_at(1 + trouble_.below(80), any_policy());
    const std::uint64_t read_before = disk_.bytes_read();
    const auto started = process_.start();
    const bool lost_power = !disk_.has_power();
    disk_.no_crash();
    if (disk_.faults_hit() != faults_before_) oracle.is_calm = false;
    if (started && !lost_power) return on_started(disk_.bytes_read() - read_before);
    if (!lost_power && oracle.is_calm) {
      return oracle.fail("G9",
                         "a start failed and nothing was wrong: " + started.error().to_string());
    }
    if (lost_power) {
      oracle.counts.row("ST-39");
      oracle.counts.work("crashes");
      note("the power went during a start");
    } else {
      note("a start failed: " + started.error().to_string());
      end_trouble();
      disk_.crash(CrashPolicy::kill());
    }
    if (!process_.wind_up()) return oracle.fail("G9", "a failed start never came to an end");
    disk_.power_on();
  }
}

void Simulation::on_started(std::uint64_t bytes_read) {
  note("started");
  oracle.counts.work("starts");
  std::uint64_t segments = 0;
  for (const auto& status : process_.shard().partition_statuses()) segments += status.segments;
  check_g9_restart_read(oracle, bytes_read, segments);
  if (finding()) return;
  RequestRecord first;
  first.kind = RequestKind::first_list;
  if (!call(first, ListTopicsRequest{}) && disk_.has_power())
    return oracle.fail("G8", "a list of topics was never answered");
  if (oracle.is_calm) describe_all();
}

void Simulation::describe_all() {
  for (TopicIndex i = 0; i < oracle.topics.size() && !finding(); ++i) {
    TopicRecord& topic = oracle.topics[i];
    if (topic.state != TopicRecord::State::standing || !topic.is_served) continue;
    RequestRecord record;
    record.kind = RequestKind::describe;
    record.topic = i;
    const auto answer = call(record, DescribeTopicRequest{{topic.name, topic.id}});
    if (!disk_.has_power() || disk_.faults_hit() != faults_before_) return;
    const auto* info = answer ? std::get_if<TopicInfoReply>(&*answer) : nullptr;
    if (info == nullptr)
      return oracle.fail("G1", "a topic that stands does not answer: " + topic.name);
    for (PartitionIndex p = 0; p < topic.partitions; ++p) {
      const PartitionRecord& part = topic.parts[p];
      if (part.state == "ok" || part.is_rotten || part.was_lied_to) continue;
      return oracle.fail("G1", fmt::format("{} is not well after a restart without any fault: {}",
                                           place_text(oracle, i, p), part.state));
    }
  }
}

}  // namespace millrace::sim
