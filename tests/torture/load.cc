// millrace-torture-load: producers and readers that journal all they do and see, for
// millrace-history.
//
//   run    until SIGTERM; made to be killed, and to outlive a broker that is
//   final  reads everything once, after all is over
#include "millrace/millrace.h"
#include "tests/torture/journal.h"
#include "tests/torture/sender.h"
#include "tests/torture/watcher.h"

#include <CLI/CLI.hpp>
#include <signal.h>

#include <cstdio>
#include <exception>
#include <functional>
#include <thread>

namespace millrace::torture {
namespace {

std::atomic<bool> stop{false};

struct Options {
  std::string broker, live, journal;
  std::vector<std::string> topics;
  std::uint64_t base = 0;  // the first session; processes must not share any
  std::uint64_t seed = 0;
  unsigned timeout_ms = 60'000;
  unsigned senders = 1;  // per topic
  bool readers = false;
  std::size_t outstanding = 4'096;
  std::uint64_t rate = 0;
  unsigned patience_s = 120;
};

ClientOptions client_options(const Options& options) {
  ClientOptions client;
  client.endpoint = options.broker;
  client.live_endpoint = options.live;
  client.timeout = std::chrono::milliseconds(options.timeout_ms);
  // A killed broker is back within a tenth of a second.
  client.reconnect_min = std::chrono::milliseconds(5);
  client.reconnect_max = std::chrono::milliseconds(50);
  return client;
}

WatchedTopic watched(const Options& options, const std::string& topic) {
  auto client = Client::connect(client_options(options));
  if (!client) throw std::runtime_error(client.error().to_string());
  auto described = Admin(*client).describe_topic(topic);
  while (!described && !stop && described.error().name == "timed_out")
    described = Admin(*client).describe_topic(topic);
  if (!described) throw std::runtime_error(topic + ": " + described.error().to_string());
  return {*client, topic, described->partitions};
}

class Threads {
 public:
  void add(std::function<void()> work) {
    threads_.emplace_back([work = std::move(work)] {
      try {
        work();
      } catch (const std::exception& error) {
        std::fprintf(stderr, "millrace-torture-load: %s\n", error.what());
        std::_Exit(1);
      }
    });
  }
  ~Threads() {
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  std::vector<std::thread> threads_;
};

void run(const Options& options) {
  Journal journal(options.journal);
  std::atomic<std::uint64_t> next_session{options.base};
  std::uint64_t seed = options.seed;
  Threads threads;
  const std::string prefix = std::to_string(options.base) + "-";
  for (const std::string& topic : options.topics) {
    for (unsigned i = 0; i < options.senders; ++i) {
      SenderOptions sender;
      sender.client = client_options(options);
      sender.topic = topic;
      sender.seed = ++seed;
      sender.outstanding_max = options.outstanding;
      sender.events_per_second = options.rate;
      threads.add(
          [&journal, &next_session, sender] { Sender(journal, sender, next_session).run(stop); });
    }
    if (!options.readers) continue;
    const WatchedTopic place = watched(options, topic);
    const auto watch = [&](auto verb) {
      threads.add([&journal, place, prefix, verb] {
        Watcher watcher(journal, place, prefix);
        verb(watcher);
      });
    };
    watch([](Watcher& watcher) { watcher.follow(stop); });
    watch([](Watcher& watcher) { watcher.live(stop); });
    watch([next = ++seed](Watcher& watcher) { watcher.sample(stop, next); });
    watch([](Watcher& watcher) { watcher.probe(stop); });
  }
  // The other threads have the signal blocked; this one waits for it.
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  int signal = 0;
  sigwait(&ends, &signal);
  stop = true;
}

void read_final(const Options& options) {
  Journal journal(options.journal);
  for (const std::string& topic : options.topics)
    Watcher(journal, watched(options, topic), std::to_string(options.base) + "-")
        .read_all(std::chrono::seconds(options.patience_s));
}

void add_common(CLI::App& command, Options& options) {
  command.add_option("--broker", options.broker, "endpoint of the request port")->required();
  command.add_option("--live", options.live, "endpoint of the live feed");
  command.add_option("--journal", options.journal, "the file to write; must not be there")
      ->required();
  command.add_option("--topic", options.topics, "a topic; may be given again")->required();
  command
      .add_option("--base", options.base, "the first session's number; sessions count up from it")
      ->required()
      ->check(CLI::PositiveNumber);
  command.add_option("--timeout-ms", options.timeout_ms, "after which a result is unknown");
}

int parse_and_run(int count, char** arguments) {
  CLI::App app("producers and readers that journal all they do and see", "millrace-torture-load");
  app.require_subcommand(1);
  Options options;
  CLI::App* running = app.add_subcommand("run", "produces and reads until SIGTERM");
  add_common(*running, options);
  running->add_option("--seed", options.seed, "of sizes, bursts and places");
  running->add_option("--senders", options.senders, "producers for each topic");
  running->add_flag("--readers", options.readers, "also follow, tail, sample and probe each topic");
  running->add_option("--outstanding", options.outstanding, "events of a producer without outcome");
  running->add_option("--rate", options.rate, "events per second of a producer; 0: all it can");
  CLI::App* final = app.add_subcommand("final", "reads everything once");
  add_common(*final, options);
  final->add_option("--patience-s", options.patience_s, "seconds for one topic");
  CLI11_PARSE(app, count, arguments);
  if (*running)
    run(options);
  else
    read_final(options);
  return 0;
}

}  // namespace
}  // namespace millrace::torture

int main(int count, char** arguments) {
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  try {
    return millrace::torture::parse_and_run(count, arguments);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "millrace-torture-load: %s\n", error.what());
    return 1;
  }
}
