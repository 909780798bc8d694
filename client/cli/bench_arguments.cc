// The flags of millrace bench.
#include "arguments.h"
#include "commands.h"
#include "flags.h"
#include "parse_values.h"

#include <CLI/CLI.hpp>

namespace millrace::cli {
namespace {

constexpr const char* topic_has_partitions =
    "has no effect with --topic, which has its partitions already; leave the flag out";

void add_bench_events(CLI::App& command, BenchArguments& a) {
  command
      .add_option("--topic", a.topic,
                  "use this topic and keep it. Default: one of its own, deleted after")
      ->check(fault_if_empty)
      ->type_name("TOPIC");
  add_partitions(command, "--partitions", a.partitions);
  command
      .add_option_function<std::string>(
          "--events", checked("--events", a.events, parse_count, "a whole number from 1 on"),
          "stop after this many events. Default 1000000")
      ->type_name("COUNT");
  command
      .add_option_function<std::string>(
          "--seconds", checked("--seconds", a.seconds, parse_seconds, "a number above 0"),
          "stop after this time")
      ->type_name("SECONDS");
  command
      .add_option_function<std::string>(
          "--event-bytes",
          checked("--event-bytes", a.event_bytes, parse_bytes, "a size like 256, 1KiB or 1MiB"),
          "payload bytes of an event, at least 16. Default 1KiB")
      ->type_name("BYTES");
  add_compression(command, a.producer);
}

void add_bench_load(CLI::App& command, BenchArguments& a) {
  add_batch_bytes(command, a.producer);
  add_number(
      command, "--producers", {1, 64}, [&a](std::uint32_t n) { a.producers = n; },
      "producers that send at the same time, 1 to 64. Default 1");
  add_number(
      command, "--in-flight", {1, 32}, [&a](std::uint32_t n) { a.producer.in_flight_max = n; },
      "batches of one partition in flight, 1 to 32. Default 8");
}

}  // namespace

void Arguments::add_bench() {
  CLI::App* bench = app_->add_subcommand("bench", "put a load on a broker and measure");
  bench->require_subcommand(1);
  bench->footer("Example:\n  millrace bench produce --events 100000 --event-bytes 256\n");
  add_bench_produce(*bench);
  add_bench_latency(*bench);
  add_bench_consume(*bench);
}

void Arguments::add_bench_produce(CLI::App& bench) {
  CLI::App* command = bench.add_subcommand("produce", "events a second and ack latency");
  auto a = std::make_shared<BenchArguments>();
  add_bench_events(*command, *a);
  add_bench_load(*command, *a);
  add_ack(*command, a->producer);
  command->add_flag("--latency", a->latency,
                    "one event in flight at a time: the time from send to ack");
  refuse(*command, {{"--topic", {"--partitions"}, topic_has_partitions},
                    {"--latency",
                     {"--producers", "--in-flight", "--batch-bytes"},
                     "has no effect with --latency, which has one event in flight at a time; leave "
                     "the flag out"}});
  command->footer(
      "Examples:\n"
      "  millrace bench produce --events 1000000 --event-bytes 256 --partitions 4\n"
      "  millrace bench produce --latency --event-bytes 256 --seconds 5 -o json\n");
  runs(*command, [a](const Context& c) { return bench_produce(c, *a); });
}

void Arguments::add_bench_latency(CLI::App& bench) {
  CLI::App* command =
      bench.add_subcommand("latency", "one event in flight at a time: bench produce --latency");
  auto a = std::make_shared<BenchArguments>();
  a->latency = true;
  add_bench_events(*command, *a);
  add_ack(*command, a->producer);
  refuse(*command, {{"--topic", {"--partitions"}, topic_has_partitions}});
  command->footer("Example:\n  millrace bench latency --event-bytes 256 --seconds 5 -o json\n");
  runs(*command, [a](const Context& c) { return bench_produce(c, *a); });
}

void Arguments::add_bench_consume(CLI::App& bench) {
  CLI::App* command =
      bench.add_subcommand("consume", "events a second of reading, with count and order checked");
  auto a = std::make_shared<BenchArguments>();
  add_bench_events(*command, *a);
  add_bench_load(*command, *a);
  refuse(*command,
         {{"--topic", {"--partitions"}, topic_has_partitions},
          {"--topic",
           {"--event-bytes", "--batch-bytes", "--compression", "--producers", "--in-flight"},
           "has no effect with --topic, whose events are there already; leave the flag out"}});
  command->footer(
      "Without --topic it first fills a topic of its own with --events events, and --seconds "
      "limits\n"
      "the reading alone. With --topic it reads what is there; a topic without events is a "
      "failure.\n\n"
      "Example:\n  millrace bench consume --events 1000000 --event-bytes 256\n");
  runs(*command, [a](const Context& c) { return bench_consume(c, *a); });
}

}  // namespace millrace::cli
