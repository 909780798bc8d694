#include "event_printer.h"

#include <fmt/format.h>

#include <cstring>

namespace millrace::cli {

std::optional<EventFormat> choose_format(const Context& context, const std::string& format) {
  if (context.json() && !format.empty()) {
    report_usage("-f and -o json exclude each other; leave one out");
    return std::nullopt;
  }
  if (context.json()) return EventFormat::json_lines();
  auto parsed = EventFormat::parse(format.empty() ? "%v\\n" : format);
  if (parsed) return std::move(*parsed);
  report_usage(fmt::format("-f: {}", parsed.error().text));
  return std::nullopt;
}

EventPrinter::EventPrinter(EventFormat format, int descriptor)
    : format_(std::move(format)), output_(descriptor) {}

int EventPrinter::finish(int code) {
  output_.flush();
  if (output_.error() == 0) return code;
  return report("cannot write events", std::strerror(output_.error()));
}

}  // namespace millrace::cli
