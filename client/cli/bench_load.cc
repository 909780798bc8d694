#include "bench_load.h"

#include "interrupt.h"
#include "millrace/producer.h"
#include "progress.h"
#include "text_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <limits>
#include <mutex>
#include <thread>

namespace millrace::cli {
namespace {

struct Limits {
  std::uint64_t events = 0;
  double deadline = std::numeric_limits<double>::infinity();

  bool reached(std::uint64_t sent) const {
    return sent >= events || interrupted() || ((sent & 63) == 0 && monotonic_seconds() >= deadline);
  }
};

Limits limits_of(const BenchArguments& arguments, std::uint32_t share) {
  Limits limits;
  if (arguments.seconds) limits.deadline = monotonic_seconds() + *arguments.seconds;
  const std::uint64_t all = arguments.events.value_or(
      arguments.seconds ? std::numeric_limits<std::uint64_t>::max() : bench_events_default);
  limits.events = all / arguments.producers + (share < all % arguments.producers ? 1 : 0);
  return limits;
}

// A payload that looks like data: not all zero, not the same in every event.
class Payload {
 public:
  Payload(std::uint64_t bytes, std::uint64_t producer) : bytes_(bytes, 'x'), stamp_{producer, 0} {
    for (std::size_t i = 0; i < bytes_.size(); ++i)
      bytes_[i] = static_cast<char>('a' + (i * 7 + i / 13) % 26);
  }
  std::string_view next() {
    std::memcpy(bytes_.data(), &stamp_, sizeof stamp_);
    ++stamp_.number;
    return bytes_;
  }

 private:
  std::string bytes_;
  BenchStamp stamp_;
};

// Awaits sampled deliveries on a thread of its own, so that sending does not wait for them.
class AckTimer {
 public:
  AckTimer() : thread_([this] { run(); }) {}
  void watch(Delivery delivery, double sent_at) {
    {
      const std::lock_guard lock(mutex_);
      waiting_.emplace_back(std::move(delivery), sent_at);
    }
    wake_.notify_one();
  }
  LatencySample finish() {
    {
      const std::lock_guard lock(mutex_);
      finished_ = true;
    }
    wake_.notify_one();
    thread_.join();
    return std::move(sample_);
  }
  bool failed() const { return failed_.load(std::memory_order_relaxed); }

 private:
  void run() {
    while (true) {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return finished_ || !waiting_.empty(); });
      if (waiting_.empty()) return;
      auto [delivery, sent_at] = std::move(waiting_.front());
      waiting_.pop_front();
      lock.unlock();
      if (delivery.wait().has_value()) {
        sample_.add(monotonic_seconds() - sent_at);
      } else {
        failed_.store(true, std::memory_order_relaxed);
      }
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::pair<Delivery, double>> waiting_;
  bool finished_ = false;
  std::atomic<bool> failed_{false};
  LatencySample sample_;
  std::thread thread_;
};

// What was sent may not pile up before the broker, or the latency would be that of the pile.
ProducerOptions bounded(const BenchArguments& arguments, std::uint32_t partitions) {
  ProducerOptions options = arguments.producer;
  const std::size_t in_flight = options.batch_bytes * (options.in_flight_max + 1) * partitions;
  options.buffer_bytes_max = std::clamp<std::size_t>(in_flight, 4u << 20, 256u << 20);
  return options;
}

struct Worker {
  const Context& context;
  const BenchArguments& arguments;
  const BenchTopic& topic;
  std::uint32_t share;
  std::atomic<std::uint64_t>& sent_by_all;
  BenchLoadResult result;

  void run() {
    // A connection each: producers that are different programs do not share one.
    auto client = Client::connect(context.client);
    if (!client) return fail("cannot connect", client.error());
    auto producer = Producer::open(*client, topic.name(), bounded(arguments, topic.partitions()));
    if (!producer) return fail("cannot produce", producer.error());
    send_all(*producer);
    const auto unacked = producer->close();
    for (const Unacked& u : unacked) result.unacked += u.event_count;
    for (const PartitionTally& p : producer->tally()) result.events += p.events;
    if (!unacked.empty()) fail("events were not acked", unacked.front().error);
  }

  void send_all(Producer& producer) {
    const Limits limits = limits_of(arguments, share);
    Payload payload(arguments.event_bytes, share);
    const std::uint64_t sample_every =
        std::max<std::uint64_t>(1, arguments.producer.batch_bytes / arguments.event_bytes);
    AckTimer timer;
    std::uint64_t sent = 0;
    for (; !limits.reached(sent) && !timer.failed(); ++sent) {
      const bool sampled = sent % sample_every == 0;
      const double sent_at = sampled ? monotonic_seconds() : 0;
      auto delivery = producer.send(Event{.key = {}, .payload = payload.next(), .headers = {}});
      if (!delivery) {
        fail("cannot send", delivery.error());
        break;
      }
      if (sampled) {
        timer.watch(std::move(*delivery), sent_at);
        sent_by_all.fetch_add(sample_every, std::memory_order_relaxed);
      }
    }
    result.bytes = sent * arguments.event_bytes;
    result.latency = timer.finish();
  }

  void fail(std::string_view what, const ClientError& error) {
    if (result.failure.empty()) result.failure = error_line(what, error);
  }
};

}  // namespace

BenchLoadResult run_bench_load(const Context& context, const BenchArguments& arguments,
                               const BenchTopic& topic) {
  std::atomic<std::uint64_t> sent_by_all{0};
  std::deque<Worker> workers;
  std::vector<std::thread> threads;
  std::atomic<std::uint32_t> running{arguments.producers};
  const double begin = monotonic_seconds();
  for (std::uint32_t share = 0; share < arguments.producers; ++share)
    workers.push_back(Worker{context, arguments, topic, share, sent_by_all, {}});
  for (Worker& worker : workers)
    threads.emplace_back([&worker, &running] {
      worker.run();
      running.fetch_sub(1);
    });
  ProgressLine progress(context);
  while (context.shows_progress() && running.load() > 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    if (progress.due())
      progress.draw(fmt::format("about {} sent", human_count(sent_by_all.load(), "event")));
  }
  for (std::thread& thread : threads) thread.join();
  BenchLoadResult all;
  all.seconds = monotonic_seconds() - begin;
  for (Worker& worker : workers) {
    all.events += worker.result.events;
    all.bytes += worker.result.bytes;
    all.unacked += worker.result.unacked;
    all.latency.add_all(worker.result.latency);
    if (all.failure.empty()) all.failure = worker.result.failure;
  }
  return all;
}

BenchLoadResult run_bench_latency(const Context& context, const BenchArguments& arguments,
                                  const BenchTopic& topic) {
  BenchLoadResult result;
  const auto give_up = [&result](std::string_view what, const ClientError& error) {
    result.failure = error_line(what, error);
    return std::move(result);
  };
  auto client = Client::connect(context.client);
  if (!client) return give_up("cannot connect", client.error());
  auto producer = Producer::open(*client, topic.name(), arguments.producer);
  if (!producer) return give_up("cannot produce", producer.error());
  Limits limits = limits_of(arguments, 0);
  Payload payload(arguments.event_bytes, 0);
  const double begin = monotonic_seconds();
  // The deadline is looked at every time here: one event may take long.
  while (!limits.reached(result.events) && monotonic_seconds() < limits.deadline) {
    const double sent_at = monotonic_seconds();
    const auto delivery =
        producer->send(Event{.key = {}, .payload = payload.next(), .headers = {}});
    if (!delivery) return give_up("cannot send", delivery.error());
    const auto receipt = delivery->wait();
    if (!receipt) return give_up("an event was not acked", receipt.error());
    result.latency.add(monotonic_seconds() - sent_at);
    ++result.events;
    result.bytes += arguments.event_bytes;
  }
  result.seconds = monotonic_seconds() - begin;
  return result;
}

}  // namespace millrace::cli
