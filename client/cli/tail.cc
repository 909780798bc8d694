// millrace tail TOPIC
#include "commands.h"
#include "event_printer.h"
#include "interrupt.h"
#include "millrace/reader.h"
#include "read_faults.h"

#include <fmt/format.h>
#include <unistd.h>

namespace millrace::cli {
namespace {

void say_gaps(const Context& context, const std::string& topic, LiveReader& reader) {
  for (const LiveGap& gap : reader.take_gaps()) {
    const std::string place = fmt::format("gap in {}/{}: the live feed dropped offsets {}:{}",
                                          topic, gap.partition, gap.begin, gap.end);
    if (gap.repaired) {
      note(context, place + ", repaired from the log");
    } else {
      say(place + ", and retention removed them before they could be fetched");
    }
  }
}

int print_live(const Context& context, LiveReader& reader, EventPrinter& printer,
               const TailArguments& arguments) {
  ReadFaults faults(arguments.topic);
  const auto code = [&faults] { return faults.any() ? exit_code::failed : exit_code::done; };
  while (!interrupted() && !printer.stopped()) {
    auto batch = next_batch(reader, printer);
    say_gaps(context, arguments.topic, reader);
    if (!batch) {
      printer.flush();
      if (!faults.survives(batch.error())) return exit_code::failed;
      continue;
    }
    if (!batch->events.empty()) faults.on_progress();
    for (const EventView& event : batch->events) {
      printer.print(event);
      if (arguments.count && printer.count() == *arguments.count) return code();
    }
    printer.end_batch();
  }
  return code();
}

}  // namespace

int tail(const Context& context, const TailArguments& arguments) {
  auto format = choose_format(context, arguments.format);
  if (!format) return exit_code::usage;
  const auto client = connect(context);
  if (!client) return client.error();
  auto reader = LiveReader::open(*client, arguments.topic);
  if (!reader) return report(fmt::format("cannot follow {}", arguments.topic), reader.error());
  finish_on_interrupt();
  note(context, fmt::format("following {}", arguments.topic));
  EventPrinter printer(std::move(*format), STDOUT_FILENO);
  int code = print_live(context, *reader, printer, arguments);
  if (code == exit_code::done && interrupted() && arguments.count) code = exit_code::interrupted;
  return printer.finish(code);
}

}  // namespace millrace::cli
