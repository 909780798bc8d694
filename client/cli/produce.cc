// millrace produce TOPIC [FILE...]
#include "commands.h"
#include "encode_text.h"
#include "event_format.h"
#include "event_source.h"
#include "interrupt.h"
#include "millrace/admin.h"
#include "millrace/producer.h"
#include "progress.h"
#include "summary.h"
#include "text_table.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <deque>

namespace millrace::cli {
namespace {

using Json = nlohmann::ordered_json;

// What a level lets one say of the events that reached it, and of the others.
struct AckWords {
  const char* reached;      // in the summary
  const char* reached_now;  // in the progress line; null: sent is all there is to say
  const char* not_reached;
};

AckWords ack_words(AckLevel ack) {
  switch (ack) {
    case AckLevel::none: return {"sent (no ack asked for)", nullptr, "not sent"};
    case AckLevel::received: return {"received (not yet durable)", "received", "not acked"};
    case AckLevel::durable: break;
  }
  return {"acked (durable)", "acked", "not acked"};
}

struct Totals {
  std::uint64_t sent = 0;
  std::uint64_t bytes = 0;
  double seconds = 0;
  std::vector<PartitionTally> tally;
  std::string first_unacked;  // file and line where one goes on; empty: all was acked

  std::uint64_t acked() const {
    std::uint64_t sum = 0;
    for (const PartitionTally& p : tally) sum += p.events;
    return sum;
  }
};

// Notices early that sends fail, without waiting for any: looks at one delivery per quarter MiB.
class FailureWatch {
 public:
  void on_sent(const Delivery& delivery, std::uint64_t bytes_sent) {
    if (bytes_sent < next_at_) return;
    next_at_ = bytes_sent + interval_bytes;
    watched_.push_back(delivery);
    while (!watched_.empty()) {
      const auto fate = watched_.front().poll();
      if (!fate) return;
      failed_ |= !fate->has_value();
      watched_.pop_front();
    }
  }
  bool failed() const { return failed_; }

 private:
  static constexpr std::uint64_t interval_bytes = 256 * 1024;
  std::uint64_t next_at_ = 0;
  std::deque<Delivery> watched_;
  bool failed_ = false;
};

std::string progress_text(const ProduceArguments& arguments, const Totals& totals, double seconds) {
  const char* reached = ack_words(arguments.producer.ack).reached_now;
  const std::string of_these =
      reached == nullptr ? "" : fmt::format("{} {}, ", human_count(totals.acked()), reached);
  return fmt::format("{} sent, {}{}", human_count(totals.sent), of_these,
                     human_rate(totals.bytes, seconds));
}

// Sends all there is; answers 0, or the exit code of what stopped it, which it has reported.
int send_all(const Context& context, const ProduceArguments& arguments, EventSource& source,
             Producer& producer, Totals& totals) {
  ProgressLine progress(context);
  FailureWatch watch;
  const double begin = monotonic_seconds();
  while (const auto event = source.next()) {
    const auto delivery =
        arguments.partition ? producer.send(*arguments.partition, *event) : producer.send(*event);
    if (!delivery) {
      progress.wipe();
      return report(fmt::format("cannot send {}", source.place()), delivery.error());
    }
    ++totals.sent;
    totals.bytes += event->key.size() + event->payload.size();
    watch.on_sent(*delivery, totals.bytes);
    if (watch.failed() || interrupted()) break;
    if ((totals.sent & 1023) == 0 && progress.due()) {
      totals.tally = producer.tally();
      progress.draw(progress_text(arguments, totals, monotonic_seconds() - begin));
    }
  }
  progress.wipe();
  if (!source.failure().empty()) return report("cannot produce", source.failure());
  return interrupted() ? exit_code::interrupted : exit_code::done;
}

void print_json_summary(const std::string& topic, const ProduceArguments& arguments,
                        const Totals& totals) {
  Json partitions = Json::array();
  const auto offset = [](const std::optional<std::uint64_t>& o) {
    return o ? Json(*o) : Json(nullptr);
  };
  for (const PartitionTally& p : totals.tally) {
    if (p.events == 0) continue;
    partitions.push_back({{"partition", p.partition},
                          {"events", p.events},
                          {"first_offset", offset(p.first_offset)},
                          {"last_offset", offset(p.last_offset)}});
  }
  const double seconds = std::max(totals.seconds, 1e-9);
  print_json(
      {{"topic", topic},
       {"events", totals.acked()},
       {"unacked", totals.sent - totals.acked()},
       {"first_unacked", totals.first_unacked.empty() ? Json(nullptr) : Json(totals.first_unacked)},
       {"bytes", totals.bytes},
       {"seconds", totals.seconds},
       {"events_per_second", static_cast<double>(totals.sent) / seconds},
       {"bytes_per_second", static_cast<double>(totals.bytes) / seconds},
       {"ack", name_of(arguments.producer.ack)},
       {"partitions", partitions}});
}

void print_text_summary(const ProduceArguments& arguments, const Totals& totals) {
  const AckWords words = ack_words(arguments.producer.ack);
  const std::string others =
      totals.acked() == totals.sent
          ? ""
          : fmt::format(", {} {}", human_count(totals.sent - totals.acked()), words.not_reached);
  std::string out =
      fmt::format("{} {}{}, {} in {}, {}\n", human_count(totals.acked(), "event"), words.reached,
                  others, human_bytes(totals.bytes), human_seconds(totals.seconds),
                  human_rate(totals.bytes, totals.seconds));
  if (totals.acked() == 0) return print_text(out);
  TextTable table({">PARTITION", ">EVENTS", ">FIRST OFFSET", ">LAST OFFSET"});
  const auto offset = [](const std::optional<std::uint64_t>& o) {
    return o ? std::to_string(*o) : "-";
  };
  for (const PartitionTally& p : totals.tally) {
    if (p.events > 0)
      table.add_row({std::to_string(p.partition), std::to_string(p.events), offset(p.first_offset),
                     offset(p.last_offset)});
  }
  print_text(out + table.to_string());
}

// One byte, or one character of UTF-8.
bool is_one_character(std::string_view text) {
  if (text.size() == 1) return true;
  const auto continues = [](char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; };
  return is_utf8(text) && std::all_of(text.begin() + 1, text.end(), continues);
}

// Everything a command line can get wrong; empty: nothing.
std::string usage_fault(const ProduceArguments& arguments, std::string& separator) {
  if (!unescape(arguments.key_separator, separator))
    return fmt::format("--key-separator {}: allowed escapes are \\t \\n \\r \\0 \\\\",
                       arguments.key_separator);
  if (!separator.empty() && !is_one_character(separator))
    return fmt::format("--key-separator {}: is more than one character; name one, or \\t for a tab",
                       arguments.key_separator);
  for (const std::string& header : arguments.headers) {
    const auto equals = header.find('=');
    if (equals == 0 || equals == std::string::npos)
      return fmt::format("--header {}: not NAME=VALUE", header);
  }
  return {};
}

// False: failed and reported.
bool create_if_missing(const Client& client, const ProduceArguments& arguments) {
  static constexpr std::uint16_t topic_exists = 22;
  const auto topic =
      Admin(client).create_topic(arguments.topic, arguments.create_partitions.value_or(1));
  if (topic || topic.error().code == topic_exists) return true;
  report(fmt::format("cannot create topic {}", arguments.topic), topic.error());
  return false;
}

// What the arguments ask of the topic and it does not have; empty: nothing.
std::string topic_fault(const ProduceArguments& arguments, std::uint32_t partitions) {
  if (arguments.create_partitions && *arguments.create_partitions != partitions)
    return fmt::format(
        "topic '{}' is there with {}, --partitions says {}; leave it out or choose another topic",
        arguments.topic, human_count(partitions, "partition"), *arguments.create_partitions);
  if (arguments.partition && *arguments.partition >= partitions)
    return fmt::format("unknown_partition: topic '{}' has partitions 0 to {}, not {}",
                       arguments.topic, partitions - 1, *arguments.partition);
  return {};
}

// What did not reach its level in one line: how many, the first of them in the order of the input,
// from where a user goes on, and why.
int report_unacked(const ProduceArguments& arguments, const std::vector<Unacked>& unacked,
                   const EventSource& source, Totals& totals) {
  std::uint64_t count = 0;
  for (const Unacked& u : unacked) count += u.event_count;
  const Unacked& first = *std::ranges::min_element(unacked, {}, &Unacked::first_event);
  totals.first_unacked = source.place_of(first.first_event);
  return report(
      fmt::format("{} of {} {} {}, {} {}; the first is {}, partition {}", count,
                  human_count(totals.sent, "event"), count == 1 ? "was" : "were",
                  ack_words(arguments.producer.ack).not_reached, totals.acked(),
                  totals.acked() == 1 ? "was" : "were", totals.first_unacked, first.partition),
      first.error);
}

// Without acks the last batches may still be on this side when the program ends, and would end with
// it. Requests of one connection arrive in their order: an answer to a later one says that they
// went.
int wait_until_sent(Client client, const Totals& totals) {
  const auto answer = client.ping();
  if (answer) return exit_code::done;
  return report(
      fmt::format("how many of {} arrived is not known", human_count(totals.sent, "event")),
      answer.error());
}

}  // namespace

const char* name_of(AckLevel ack) {
  switch (ack) {
    case AckLevel::none: return "none";
    case AckLevel::received: return "received";
    case AckLevel::durable: return "durable";
  }
  return "unknown";
}

const char* name_of(Compression compression) {
  switch (compression) {
    case Compression::none: return "none";
    case Compression::zstd: return "zstd";
    case Compression::lz4: return "lz4";
  }
  return "unknown";
}

int produce(const Context& context, const ProduceArguments& arguments) {
  std::string separator;
  if (const auto fault = usage_fault(arguments, separator); !fault.empty())
    return report_usage(fault);
  if (const auto fault = unreadable_file(arguments.files); !fault.empty())
    return report("cannot produce", fault);
  const auto client = connect(context);
  if (!client) return client.error();
  if (arguments.create && !create_if_missing(*client, arguments)) return exit_code::failed;
  auto producer = Producer::open(*client, arguments.topic, arguments.producer);
  if (!producer)
    return report(fmt::format("cannot produce to {}", arguments.topic), producer.error());

  // Before anything is read: input may be long in coming.
  if (const auto fault = topic_fault(arguments, producer->partitions()); !fault.empty())
    return report(fmt::format("cannot produce to {}", arguments.topic), fault);

  finish_on_interrupt();
  Totals totals;
  EventSource source(arguments, std::move(separator));
  const double begin = monotonic_seconds();
  int code = send_all(context, arguments, source, *producer, totals);
  const auto unacked = producer->close();
  totals.tally = producer->tally();
  // What was read and not sent comes behind what was sent and not acked.
  if (code == exit_code::failed) totals.first_unacked = source.place_of(totals.sent);
  if (!unacked.empty()) code = report_unacked(arguments, unacked, source, totals);
  if (arguments.producer.ack == AckLevel::none && totals.acked() > 0) {
    const int sent = wait_until_sent(*client, totals);
    if (sent != exit_code::done) code = sent;
  }
  totals.seconds = monotonic_seconds() - begin;
  if (context.json()) {
    print_json_summary(arguments.topic, arguments, totals);
  } else if (!context.quiet || code == exit_code::failed) {
    print_text_summary(arguments, totals);
  }
  return code;
}

}  // namespace millrace::cli
