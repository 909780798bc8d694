// millrace consume TOPIC[/PARTITION]
#include "commands.h"
#include "event_printer.h"
#include "interrupt.h"
#include "millrace/reader.h"
#include "parse_values.h"
#include "read_faults.h"

#include <fmt/format.h>
#include <unistd.h>

namespace millrace::cli {
namespace {

// A place, or a range. A place is tried first because times have colons too.
Outcome<PlaceRange> parse_where(const ConsumeArguments& arguments) {
  const auto now = wall_now_ns();
  auto place = Place::parse(arguments.offset, now);
  if (place) {
    PlaceRange range{.begin = *place, .end = std::nullopt};
    if (arguments.stop_at_end) range.end = Place::from_end();
    return range;
  }
  if (arguments.offset.find(':') == std::string::npos) return std::unexpected(place.error());
  auto range = PlaceRange::parse(arguments.offset, now);
  if (!range) return std::unexpected(place.error());
  if (!range->end) range->end = Place::from_end();
  return *range;
}

Outcome<Reader> open_reader(const Client& client, const TopicPath& path, const PlaceRange& range) {
  if (!path.partition) return Reader::open(client, path.topic, range.begin, range.end);
  return Reader::open(client, path.topic, {ReadFrom{*path.partition, range.begin, range.end}});
}

int print_all(Reader& reader, EventPrinter& printer, const std::string& topic,
              std::optional<std::uint64_t> count_max) {
  ReadFaults faults(topic);
  while (!reader.finished() && !interrupted() && !printer.stopped()) {
    auto batch = next_batch(reader, printer);
    if (!batch) {
      printer.flush();
      if (!faults.survives(batch.error())) return exit_code::failed;
      continue;
    }
    if (!batch->events.empty()) faults.on_progress();
    for (const EventView& event : batch->events) {
      printer.print(event);
      if (count_max && printer.count() == *count_max)
        return faults.any() ? exit_code::failed : exit_code::done;
      if (printer.stopped()) break;
    }
    printer.end_batch();
  }
  return faults.any() ? exit_code::failed : exit_code::done;
}

}  // namespace

int consume(const Context& context, const ConsumeArguments& arguments) {
  const auto path = parse_topic_path(arguments.topic);
  if (!path) return report_usage(fmt::format("{}: not TOPIC or TOPIC/PARTITION", arguments.topic));
  const auto range = parse_where(arguments);
  if (!range) return report_usage(fmt::format("--offset: {}", range.error().text));
  if (range->is_reversed()) return report_reversed(arguments.offset);
  auto format = choose_format(context, arguments.format);
  if (!format) return exit_code::usage;
  const auto client = connect(context);
  if (!client) return client.error();
  auto reader = open_reader(*client, *path, *range);
  if (!reader)
    return report_unreadable(fmt::format("cannot read {}", arguments.topic), *path, reader.error());

  finish_on_interrupt();
  EventPrinter printer(std::move(*format), STDOUT_FILENO);
  int code = print_all(*reader, printer, arguments.topic, arguments.count);
  const bool follows = !range->end && !arguments.count;
  if (code == exit_code::done && interrupted() && !follows) code = exit_code::interrupted;
  return printer.finish(code);
}

}  // namespace millrace::cli
