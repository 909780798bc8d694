#include "tests/torture/sender.h"

#include "tests/torture/payload.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <thread>

namespace millrace::torture {
namespace {

using std::chrono::milliseconds;

// So that a refused producer does not fill the journal with refusals.
constexpr milliseconds pause_after_failure{20};

// As many of the small as of the large, by order of magnitude.
std::uint64_t spread(std::mt19937_64& random, std::uint64_t max) {
  const double power =
      std::uniform_real_distribution<>(0, std::log(static_cast<double>(max)))(random);
  return std::min(max, static_cast<std::uint64_t>(std::exp(power)));
}

}  // namespace

Sender::Sender(Journal& journal, SenderOptions options, std::atomic<std::uint64_t>& next_session)
    : journal_(journal),
      options_(std::move(options)),
      next_session_(next_session),
      random_(options_.seed) {}

void Sender::run(const std::atomic<bool>& stop) {
  auto client = Client::connect(options_.client);
  if (!client) throw std::runtime_error(client.error().to_string());
  while (!stop && open(*client, stop)) run_session(stop);
}

bool Sender::open(const Client& client, const std::atomic<bool>& stop) {
  session_ = next_session_++;
  next_number_ = 0;
  session_over_ = false;
  ProducerOptions options;
  options.producer_id = session_;
  options.in_flight_max = static_cast<std::uint32_t>(1 + random_() % 32);
  options.batch_bytes = std::size_t{1024} << (random_() % 9);
  while (!stop) {
    auto producer = Producer::open(client, options_.topic, options);
    if (producer) {
      producer_ = std::move(*producer);
      sent_ = std::vector<std::deque<Sent>>(producer_->partitions());
      return true;
    }
    std::this_thread::sleep_for(pause_after_failure);
  }
  return false;
}

void Sender::run_session(const std::atomic<bool>& stop) {
  const std::int64_t begin = now_ns();
  while (!stop && !session_over_) {
    if (collect()) std::this_thread::sleep_for(pause_after_failure);
    if (outstanding_ >= options_.outstanding_max) {
      std::this_thread::sleep_for(milliseconds(1));
      continue;
    }
    send_burst();
    keep_rate(begin);
  }
  static_cast<void>(producer_->close());
  static_cast<void>(collect());
  producer_.reset();
  outstanding_ = 0;  // what has no outcome now stays without one: unknown
}

void Sender::send_burst() {
  const auto partition = static_cast<std::uint32_t>(random_() % sent_.size());
  const std::uint64_t count = spread(random_, options_.burst_max);
  const std::uint64_t first = next_number_;
  next_number_ += count;
  journal_.write(fmt::format("send {} {} {}/{} {} {}\n", now_ns(), session_, options_.topic,
                             partition, first, count));
  for (std::uint64_t number = first; number < next_number_; ++number) {
    make_payload({session_, number}, payload_bytes(), payload_);
    Event event;
    event.payload = payload_;
    auto delivery = producer_->send(partition, event);
    if (!delivery) {
      // Not taken, and so surely not stored; nor are the rest of the burst, which stay unsent.
      journal_.write(fmt::format("fail {} {} {} {} {}\n", now_ns(), session_, number,
                                 next_number_ - number, delivery.error().name));
      session_over_ = session_over_ || !delivery.error().can_retry;
      return;
    }
    sent_[partition].push_back({number, std::move(*delivery)});
    ++outstanding_;
  }
}

std::size_t Sender::payload_bytes() {
  const std::uint64_t die = random_() % 1'000;
  if (die == 0) return spread(random_, options_.large_payload_max);
  if (die < 20) return spread(random_, 4'096);
  return payload_bytes_min + random_() % 96;
}

bool Sender::collect() {
  std::string lines;
  bool failed = false;
  for (std::deque<Sent>& sent : sent_) failed = collect(sent, lines) || failed;
  journal_.write(lines);
  return failed;
}

bool Sender::collect(std::deque<Sent>& sent, std::string& lines) {
  bool failed = false;
  while (!sent.empty()) {
    const auto first_outcome = sent.front().delivery.poll();
    if (!first_outcome) break;
    const Fate fate = fate_of(*first_outcome);
    const std::uint64_t first = sent.front().number;
    std::uint64_t count = 0;
    // A run: events of consecutive numbers with one fate, at consecutive offsets.
    while (!sent.empty() && sent.front().number == first + count) {
      const auto outcome = sent.front().delivery.poll();
      if (!outcome) break;
      const Fate next = fate_of(*outcome);
      const bool same_offset = !fate.offset ? !next.offset : next.offset == *fate.offset + count;
      if (next.kind != fate.kind || next.why != fate.why || !same_offset) break;
      sent.pop_front();
      ++count;
    }
    outstanding_ -= count;
    failed = failed || fate.kind != Kind::ok;
    const std::string offset = fate.offset ? std::to_string(*fate.offset) : "-";
    lines +=
        fmt::format("{} {} {} {} {} {}\n",
                    fate.kind == Kind::ok     ? "ok"
                    : fate.kind == Kind::fail ? "fail"
                                              : "unknown",
                    now_ns(), session_, first, count, fate.kind == Kind::ok ? offset : fate.why);
    session_over_ = session_over_ || fate.why == "unknown_topic" || fate.why == "fenced" ||
                    fate.why == "sequence_conflict" || fate.why == "unknown_partition";
  }
  return failed;
}

// client/include/millrace/producer.h, Unacked: which of the codes leave it open whether it is
// stored.
Sender::Fate Sender::fate_of(const Outcome<Receipt>& outcome) {
  if (outcome) return {Kind::ok, outcome->offset, {}};
  const std::string& name = outcome.error().name;
  const bool unknown = name == "timed_out" || name == "storage_error" || name == "unknown_producer";
  return {unknown ? Kind::unknown : Kind::fail, {}, name};
}

void Sender::keep_rate(std::int64_t begin) const {
  if (options_.events_per_second == 0) return;
  const double due =
      static_cast<double>(next_number_) / static_cast<double>(options_.events_per_second) * 1e9;
  const auto ahead = static_cast<std::int64_t>(due) - (now_ns() - begin);
  if (ahead > 0)
    std::this_thread::sleep_for(
        std::chrono::nanoseconds(std::min<std::int64_t>(ahead, 200'000'000)));
}

}  // namespace millrace::torture
