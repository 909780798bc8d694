// millrace tail TOPIC
#include "commands.h"
#include "event_printer.h"
#include "interrupt.h"
#include "millrace/admin.h"
#include "millrace/reader.h"
#include "read_faults.h"

#include <fmt/format.h>
#include <unistd.h>

namespace millrace::cli {
namespace {

// Of a topic that is not on the feed every event is a gap that is repaired: that was said at the
// start.
void say_gaps(const Context& context, const std::string& topic, bool on_feed, LiveReader& reader) {
  for (const LiveGap& gap : reader.take_gaps()) {
    const std::string place =
        fmt::format("gap in {}/{}: {} offsets {}:{}", topic, gap.partition,
                    on_feed ? "the live feed dropped" : "no events at", gap.begin, gap.end);
    if (!gap.repaired) {
      say(place + (on_feed ? ", and retention removed them before they could be fetched"
                           : ", retention removed them before they could be read"));
    } else if (on_feed) {
      note(context, place + ", repaired from the log");
    }
  }
}

struct Followed {
  LiveReader reader;
  bool on_feed = true;
};

Outcome<Followed> follow(const Client& client, const std::string& topic) {
  const auto described = Admin(client).describe_topic(topic);
  if (!described) return std::unexpected(described.error());
  const auto live = described->settings.find("live");
  auto reader = LiveReader::open(client, topic);
  if (!reader) return std::unexpected(reader.error());
  return Followed{std::move(*reader), live == described->settings.end() || live->second != "false"};
}

int print_live(const Context& context, Followed& followed, EventPrinter& printer,
               const TailArguments& arguments) {
  ReadFaults faults(arguments.topic);
  const auto code = [&faults] { return faults.any() ? exit_code::failed : exit_code::done; };
  while (!interrupted() && !printer.stopped()) {
    auto batch = next_batch(followed.reader, printer);
    say_gaps(context, arguments.topic, followed.on_feed, followed.reader);
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
  auto followed = follow(*client, arguments.topic);
  if (!followed) return report(fmt::format("cannot follow {}", arguments.topic), followed.error());
  finish_on_interrupt();
  note(context,
       followed->on_feed
           ? fmt::format("following {}", arguments.topic)
           : fmt::format("following {}: topic '{}' is not on the live feed (live = false); its "
                         "events are read from the log, up to 3 s late",
                         arguments.topic, arguments.topic));
  EventPrinter printer(std::move(*format), STDOUT_FILENO);
  int code = print_live(context, *followed, printer, arguments);
  if (code == exit_code::done && interrupted() && arguments.count) code = exit_code::interrupted;
  return printer.finish(code);
}

}  // namespace millrace::cli
