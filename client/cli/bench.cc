// millrace bench produce | bench consume | bench latency
#include "bench_load.h"
#include "bench_topic.h"
#include "interrupt.h"
#include "millrace/reader.h"
#include "progress.h"
#include "summary.h"
#include "text_table.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstring>
#include <map>

namespace millrace::cli {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::ordered_json;

// What was measured.
Json to_json(const char* what, const BenchTopic& topic, std::uint64_t events, std::uint64_t bytes,
             double seconds) {
  const double span = std::max(seconds, 1e-9);
  return {{"bench", what},
          {"events", events},
          {"bytes", bytes},
          {"seconds", seconds},
          {"events_per_second", static_cast<double>(events) / span},
          {"megabytes_per_second", static_cast<double>(bytes) / 1e6 / span},
          {"partitions", topic.partitions()}};
}

// And with what load. One event in flight at a time knows no batches of several.
void add_load(Json& all, const BenchArguments& arguments) {
  all["event_bytes"] = arguments.event_bytes;
  if (!arguments.latency) all["batch_bytes"] = arguments.producer.batch_bytes;
  all["producers"] = arguments.producers;
  all["in_flight"] = arguments.latency ? 1 : arguments.producer.in_flight_max;
  all["compression"] = name_of(arguments.producer.compression);
}

TextTable to_table(std::uint64_t events, std::uint64_t bytes, double seconds) {
  TextTable table({"FIGURE", ">VALUE"});
  table.add_row({"events", human_count(events)});
  table.add_row({"payload", human_bytes(bytes)});
  table.add_row({"time", human_seconds(seconds)});
  table.add_row({"events a second", human_count(static_cast<std::uint64_t>(
                                        static_cast<double>(events) / std::max(seconds, 1e-9)))});
  table.add_row({"rate", human_rate(bytes, seconds)});
  return table;
}

std::string usage_fault(const BenchArguments& a) {
  if (a.event_bytes < bench_event_bytes_min || a.event_bytes > 64u * 1024 * 1024)
    return fmt::format("--event-bytes {}: not between {} and 64MiB", a.event_bytes,
                       bench_event_bytes_min);
  return {};
}

void print_load(const Context& context, const BenchArguments& arguments, const BenchTopic& topic,
                BenchLoadResult& load) {
  if (context.json()) {
    Json all = to_json(arguments.latency ? "produce-latency" : "produce", topic, load.events,
                       load.bytes, load.seconds);
    add_load(all, arguments);
    all["ack"] = name_of(arguments.producer.ack);
    all["unacked"] = load.unacked;
    all["ack_latency"] = load.latency.to_json();
    return print_json(all);
  }
  TextTable table = to_table(load.events, load.bytes, load.seconds);
  table.add_row({"ack level", name_of(arguments.producer.ack)});
  table.add_row({"not acked", human_count(load.unacked)});
  for (const auto& [name, fraction] :
       {std::pair{"ack p50", 0.5}, {"ack p90", 0.9}, {"ack p99", 0.99}, {"ack max", 1.0}})
    table.add_row({name, human_seconds(load.latency.quantile(fraction))});
  print_text(table.to_string());
}

int exit_of(const BenchLoadResult& load) {
  if (!load.failure.empty()) {
    say(load.failure);
    return exit_code::failed;
  }
  return interrupted() ? exit_code::interrupted : exit_code::done;
}

// What a consuming run found.
struct ReadResult {
  std::uint64_t events = 0, bytes = 0;
  double seconds = 0;
  std::string failure;
};

// Offsets must follow one another, and in a topic of the bench's own the numbers of each producer
// must rise.
class OrderCheck {
 public:
  explicit OrderCheck(bool stamped) : stamped_(stamped) {}
  // Empty, or what is wrong.
  std::string add(const EventView& event) {
    auto [next, is_first] = next_offset_.try_emplace(event.partition, event.offset);
    if (next->second != event.offset)
      return fmt::format("partition {}: offset {} came where {} was due", event.partition,
                         event.offset, next->second);
    ++next->second;
    if (!stamped_ || event.payload.size() < sizeof(BenchStamp)) return {};
    BenchStamp stamp;
    std::memcpy(&stamp, event.payload.data(), sizeof stamp);
    auto [least, is_new] = least_number_.try_emplace({event.partition, stamp.producer}, 0);
    if (stamp.number < least->second)
      return fmt::format("partition {} offset {}: event {} of producer {} came after event {}",
                         event.partition, event.offset, stamp.number, stamp.producer,
                         least->second - 1);
    least->second = stamp.number + 1;
    return {};
  }

 private:
  bool stamped_;
  std::map<std::uint32_t, std::uint64_t> next_offset_;
  std::map<std::pair<std::uint32_t, std::uint64_t>, std::uint64_t> least_number_;
};

ReadResult read_all(const Context& context, const Client& client, const BenchArguments& arguments,
                    const BenchTopic& topic) {
  ReadResult result;
  OrderCheck order(topic.is_own());
  const double begin = monotonic_seconds();
  const double deadline = begin + arguments.seconds.value_or(1e9);
  // In a topic of its own --events says what was written, and all of it is read.
  const std::uint64_t events_max =
      topic.is_own() ? UINT64_MAX : arguments.events.value_or(UINT64_MAX);
  auto reader = Reader::open(client, topic.name(), Place::from_start(), Place::from_end());
  if (!reader) {
    result.failure = error_line("cannot read", reader.error());
    return result;
  }
  ProgressLine progress(context);
  while (!reader->finished() && !interrupted() && result.events < events_max &&
         monotonic_seconds() < deadline) {
    const auto batch = reader->next(250ms);
    if (!batch) {
      result.failure = error_line("cannot read", batch.error());
      break;
    }
    for (const EventView& event : batch->events) {
      ++result.events;
      result.bytes += event.payload.size();
      if (auto fault = order.add(event); !fault.empty() && result.failure.empty())
        result.failure = fmt::format("order is wrong (client): {}", fault);
    }
    if (progress.due())
      progress.draw(fmt::format("{}, {}", human_count(result.events, "event"),
                                human_rate(result.bytes, monotonic_seconds() - begin)));
  }
  result.seconds = monotonic_seconds() - begin;
  return result;
}

void print_read(const Context& context, const BenchArguments& arguments, const BenchTopic& topic,
                const ReadResult& read, bool verified) {
  if (context.json()) {
    Json all = to_json("consume", topic, read.events, read.bytes, read.seconds);
    if (topic.is_own()) add_load(all, arguments);
    all["verified"] = verified;
    return print_json(all);
  }
  TextTable table = to_table(read.events, read.bytes, read.seconds);
  table.add_row({"count and order", verified ? "right" : "WRONG"});
  print_text(table.to_string());
}

int report_nothing_read(const BenchArguments& arguments, const BenchTopic& topic) {
  if (interrupted()) return exit_code::interrupted;
  return report("nothing was read",
                arguments.seconds
                    ? fmt::format("no event of topic '{}' came within {} s; allow more --seconds, "
                                  "or read a topic that has events",
                                  topic.name(), *arguments.seconds)
                    : fmt::format("topic '{}' has no events; produce some first, or leave --topic "
                                  "out to have a topic filled",
                                  topic.name()));
}

// From here on an interrupt is only noted, so that a topic of the bench's own is deleted at the
// end; before, it ends a wait for a broker that does not answer.
int wait_for_broker(const Context& context, Client& client) {
  if (const auto answer = client.ping(); !answer)
    return report(fmt::format("no answer from {}", context.client.endpoint), answer.error());
  finish_on_interrupt();
  return exit_code::done;
}

}  // namespace

int bench_produce(const Context& context, const BenchArguments& arguments) {
  if (const auto fault = usage_fault(arguments); !fault.empty()) return report_usage(fault);
  auto client = connect(context);
  if (!client) return client.error();
  if (const int code = wait_for_broker(context, *client); code != exit_code::done) return code;
  const auto topic = BenchTopic::open(*client, arguments);
  if (topic == nullptr) return exit_code::failed;
  BenchLoadResult load = arguments.latency ? run_bench_latency(context, arguments, *topic)
                                           : run_bench_load(context, arguments, *topic);
  print_load(context, arguments, *topic, load);
  return exit_of(load);
}

int bench_consume(const Context& context, const BenchArguments& arguments) {
  if (const auto fault = usage_fault(arguments); !fault.empty()) return report_usage(fault);
  auto client = connect(context);
  if (!client) return client.error();
  if (const int code = wait_for_broker(context, *client); code != exit_code::done) return code;
  const auto topic = BenchTopic::open(*client, arguments);
  if (topic == nullptr) return exit_code::failed;
  std::uint64_t written = 0;
  if (topic->is_own()) {
    BenchArguments fill = arguments;
    fill.seconds.reset();
    note(context, fmt::format("filling {}", topic->name()));
    const BenchLoadResult load = run_bench_load(context, fill, *topic);
    if (const int code = exit_of(load); code != exit_code::done) return code;
    written = load.events;
  }
  ReadResult read = read_all(context, *client, arguments, *topic);
  const bool cut_short = interrupted() || arguments.seconds.has_value();
  if (read.failure.empty() && topic->is_own() && !cut_short && read.events != written)
    read.failure = fmt::format("count is wrong (client): {} read, {} acked",
                               human_count(read.events, "event"), human_count(written));
  if (read.failure.empty() && read.events == 0) return report_nothing_read(arguments, *topic);
  print_read(context, arguments, *topic, read, read.failure.empty());
  if (!read.failure.empty()) {
    say(read.failure);
    return exit_code::failed;
  }
  return interrupted() ? exit_code::interrupted : exit_code::done;
}

}  // namespace millrace::cli
