// millrace replay TOPIC[/PARTITION] --offset BEGIN:END
#include "commands.h"
#include "event_printer.h"
#include "interrupt.h"
#include "merged_reader.h"
#include "millrace/admin.h"
#include "parse_values.h"
#include "progress.h"
#include "replay_target.h"
#include "storage/base/standard_error.h"
#include "summary.h"
#include "text_table.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <numeric>

namespace millrace::cli {
namespace {

using Json = nlohmann::ordered_json;

struct PartitionCount {
  std::uint64_t events = 0, bytes = 0;
  std::uint64_t first_offset = 0, end_offset = 0;
  std::int64_t first_time_ns = 0, last_time_ns = 0;

  void add(const EventView& event) {
    if (events == 0) {
      first_offset = event.offset;
      first_time_ns = event.time_ns;
    }
    ++events;
    bytes += event.key.size() + event.payload.size();
    end_offset = event.offset + 1;
    last_time_ns = std::max(last_time_ns, event.time_ns);
  }
};

struct Counts {
  std::map<std::uint32_t, PartitionCount> partitions;
  PartitionCount all;
  double seconds = 0;
  bool all_put = true;  // the target took what was read
};

// Holds events back so that the pauses between them are those of their times, divided by the speed.
class Pace {
 public:
  explicit Pace(double speed) : speed_(speed) {}

  // Seconds from now until the event is due; at most 0: now.
  double seconds_until(const EventView& event) {
    if (speed_ == 0) return 0;
    if (!started_) {
      started_ = true;
      begin_ = monotonic_seconds();
      first_time_ns_ = event.time_ns;
    }
    const double due = static_cast<double>(event.time_ns - first_time_ns_) / 1e9 / speed_;
    return begin_ + due - monotonic_seconds();
  }

 private:
  double speed_;
  bool started_ = false;
  double begin_ = 0;
  std::int64_t first_time_ns_ = 0;
};

// False: a signal came first.
bool pause(double seconds) {
  while (seconds > 0 && !interrupted()) {
    const double begin = monotonic_seconds();
    pollfd wake{interrupt_descriptor(), POLLIN, 0};
    ::poll(&wake, 1, static_cast<int>(std::min(seconds, 3600.0) * 1e3) + 1);
    seconds -= monotonic_seconds() - begin;
  }
  return !interrupted();
}

std::string progress_text(const Counts& counts, double seconds) {
  return fmt::format("{}, {}, {}, at {}", human_count(counts.all.events, "event"),
                     human_bytes(counts.all.bytes), human_rate(counts.all.bytes, seconds),
                     format_time(counts.all.last_time_ns));
}

// True: every event was put.
bool put_all(const Context& context, MergedReader& reader, ReplayTarget& target, double speed,
             Counts& counts) {
  ProgressLine progress(context);
  Pace pace(speed);
  const double begin = monotonic_seconds();
  while (const EventView* event = reader.next()) {
    if (const double wait = pace.seconds_until(*event); wait > 0) {
      target.flush();
      if (progress.due()) progress.draw(progress_text(counts, monotonic_seconds() - begin));
      if (!pause(wait)) return false;
    }
    if (!target.put(*event)) return false;
    counts.partitions[event->partition].add(*event);
    counts.all.add(*event);
    if ((counts.all.events & 1023) == 0 && progress.due())
      progress.draw(progress_text(counts, monotonic_seconds() - begin));
  }
  return !reader.failed() && !interrupted();
}

std::string to_json_text(const ReplayArguments& arguments, const Counts& counts) {
  Json partitions = Json::array();
  for (const auto& [partition, count] : counts.partitions) {
    partitions.push_back({{"partition", partition},
                          {"events", count.events},
                          {"bytes", count.bytes},
                          {"begin_offset", count.first_offset},
                          {"end_offset", count.end_offset},
                          {"first_time", format_time(count.first_time_ns)},
                          {"last_time", format_time(count.last_time_ns)}});
  }
  const Json all = {{"topic", arguments.topic},    {"dry_run", arguments.dry_run},
                    {"events", counts.all.events}, {"bytes", counts.all.bytes},
                    {"seconds", counts.seconds},   {"partitions", partitions}};
  return all.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string to_text(const ReplayArguments& arguments, const Counts& counts) {
  const char* verb = arguments.dry_run ? "would replay" : counts.all_put ? "replayed" : "read";
  std::string out = fmt::format("{} {}, {}, in {}\n", verb, human_count(counts.all.events, "event"),
                                human_bytes(counts.all.bytes), human_seconds(counts.seconds));
  if (counts.partitions.empty()) return out;
  TextTable table({">PARTITION", ">EVENTS", ">SIZE", ">BEGIN", ">END", "FIRST TIME", "LAST TIME"});
  for (const auto& [partition, count] : counts.partitions)
    table.add_row({std::to_string(partition), std::to_string(count.events),
                   human_bytes(count.bytes), std::to_string(count.first_offset),
                   std::to_string(count.end_offset), format_time(count.first_time_ns),
                   format_time(count.last_time_ns)});
  return out + table.to_string();
}

bool prints_events(const ReplayArguments& a) {
  return !a.dry_run && a.to_topic.empty() && a.to_file.empty();
}

// The counts are the result, except where the events themselves are: then they go to standard
// error, in words.
void print_counts(const Context& context, const ReplayArguments& arguments, const Counts& counts) {
  if (prints_events(arguments)) {
    if (!context.quiet) write_standard_error(to_text(arguments, counts));
  } else if (context.json()) {
    print_text(to_json_text(arguments, counts));
  } else if (!context.quiet) {
    print_text(to_text(arguments, counts));
  }
}

std::unique_ptr<ReplayTarget> open_target(const Client& client, const ReplayArguments& arguments,
                                          EventFormat format, std::uint32_t source_partitions) {
  if (arguments.dry_run) return open_counting_target(client, arguments);
  if (!arguments.to_topic.empty()) return open_topic_target(client, arguments, source_partitions);
  if (!arguments.to_file.empty()) return open_file_target(arguments, std::move(format));
  return make_output_target(std::move(format));
}

}  // namespace

int replay(const Context& context, const ReplayArguments& arguments) {
  const auto path = parse_topic_path(arguments.topic);
  if (!path) return report_usage(fmt::format("{}: not TOPIC or TOPIC/PARTITION", arguments.topic));
  const auto range = PlaceRange::parse(arguments.range, wall_now_ns());
  if (!range) return report_usage(fmt::format("--offset: {}", range.error().text));
  if (range->is_reversed()) return report_reversed(arguments.range);
  const auto speed = parse_speed(arguments.speed);
  if (!speed)
    return report_usage(fmt::format(
        "--speed: '{}' is neither max nor a factor above 0, such as 1x or 10x", arguments.speed));
  auto format = choose_format(context, arguments.format);
  if (!format) return exit_code::usage;
  if (path->topic == arguments.to_topic && !arguments.force)
    return report_usage(
        fmt::format("--to {}: the topic itself; --force doubles its events", path->topic));

  const auto client = connect(context);
  if (!client) return client.error();
  const auto topic = Admin(*client).describe_topic(path->topic);
  if (!topic) return report(fmt::format("cannot replay {}", path->topic), topic.error());
  std::vector<std::uint32_t> partitions(path->partition ? 1 : topic->partitions);
  std::iota(partitions.begin(), partitions.end(), path->partition.value_or(0));
  finish_on_interrupt();
  const double begin = monotonic_seconds();
  // The end is fixed before the first event is sent, so a topic can be replayed into itself.
  auto reader = MergedReader::open(*client, path->topic, partitions, *range);
  if (!reader)
    return report_unreadable(fmt::format("cannot replay {}", arguments.topic), *path,
                             reader.error());
  const auto target = open_target(*client, arguments, std::move(*format), topic->partitions);
  if (target == nullptr) return exit_code::failed;

  Counts counts;
  const bool whole = put_all(context, *reader, *target, *speed, counts);
  int code = target->finish(whole);
  counts.seconds = monotonic_seconds() - begin;
  counts.all_put = code == exit_code::done;
  if (code == exit_code::done && (reader->failed() || reader->had_holes()))
    code = exit_code::failed;
  if (code == exit_code::done && interrupted()) code = exit_code::interrupted;
  print_counts(context, arguments, counts);
  return code;
}

}  // namespace millrace::cli
