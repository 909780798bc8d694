#include "event_source.h"

#include "interrupt.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>

namespace millrace::cli {

namespace {

std::string cannot_open(const std::string& name, int error) {
  return fmt::format("cannot open {}: {}; name files that may be read, or - for standard input",
                     name, std::strerror(error));
}

}  // namespace

// Without opening them: a pipe that is opened and closed again has lost its writer.
std::string unreadable_file(const std::vector<std::string>& files) {
  for (const std::string& name : files) {
    if (name == "-") continue;
    struct stat status = {};
    if (::access(name.c_str(), R_OK) != 0 || ::stat(name.c_str(), &status) != 0)
      return cannot_open(name, errno);
    if (S_ISDIR(status.st_mode)) return cannot_open(name, EISDIR);
  }
  return {};
}

EventSource::EventSource(const ProduceArguments& arguments, std::string key_separator)
    : arguments_(arguments), key_separator_(std::move(key_separator)), files_(arguments.files) {
  if (files_.empty()) files_.push_back("-");
  if (!arguments.key_field.empty()) key_field_.emplace(arguments.key_field);
  for (const std::string& header : arguments.headers) {
    const auto equals = header.find('=');
    headers_.push_back({header.substr(0, equals), header.substr(equals + 1)});
  }
}

EventSource::~EventSource() { close_file(); }

std::optional<Event> EventSource::next() {
  while (failure_.empty()) {
    if (reader_ == nullptr && !open_next_file()) return std::nullopt;
    const auto text = arguments_.raw ? reader_->rest() : reader_->next();
    if (!text) {
      check_reader();
      if (!failure_.empty() || interrupted()) return std::nullopt;
      close_file();
      continue;
    }
    if (reader_->blocks_read() != blocks_seen_) {
      // The clock is read once per block: events that were read together happened together.
      blocks_seen_ = reader_->blocks_read();
      time_ns_ = wall_now_ns();
    }
    Event event{.key = arguments_.key, .payload = *text, .headers = headers_, .time_ns = time_ns_};
    if (!set_key(*text, event)) return std::nullopt;
    ++events_;
    return event;
  }
  return std::nullopt;
}

std::string EventSource::place() const {
  return place(opened_.back(), reader_ == nullptr ? 0 : reader_->line_number());
}

// Every line is an event, so lines are counted by events.
std::string EventSource::place_of(std::uint64_t number) const {
  const auto behind =
      std::upper_bound(opened_.begin(), opened_.end(), number,
                       [](std::uint64_t n, const Opened& file) { return n < file.first_event; });
  const Opened& file = *std::prev(behind);
  return place(file, number - file.first_event + 1);
}

std::string EventSource::place(const Opened& file, std::uint64_t line) const {
  return arguments_.raw ? file.name : fmt::format("{} line {}", file.name, line);
}

bool EventSource::open_next_file() {
  if (next_file_ == files_.size()) return false;
  const std::string& name = files_[next_file_++];
  opened_.push_back({name == "-" ? "standard input" : name, events_});
  descriptor_ = name == "-" ? STDIN_FILENO : ::open(name.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor_ < 0) {
    failure_ = cannot_open(name, errno);
    return false;
  }
  reader_ = std::make_unique<LineReader>(descriptor_);
  blocks_seen_ = 0;
  return true;
}

void EventSource::close_file() {
  reader_.reset();
  if (descriptor_ > STDIN_FILENO) ::close(descriptor_);
  descriptor_ = -1;
}

// Splits the key off. False: the key is asked of a field that is not there; failure() says so.
bool EventSource::set_key(std::string_view text, Event& event) {
  if (!key_separator_.empty()) {
    const auto at = text.find(key_separator_);
    if (at != std::string_view::npos) {
      event.key = text.substr(0, at);
      event.payload = text.substr(at + key_separator_.size());
    }
    return true;
  }
  if (!key_field_) return true;
  switch (key_field_->scan(text)) {
    case FieldStatus::found: event.key = key_field_->value(); return true;
    case FieldStatus::not_json:
      failure_ = fmt::format("{} is not JSON at byte {}; --key-field needs one JSON object a line",
                             place(), key_field_->error_column());
      return false;
    case FieldStatus::missing:
      failure_ = fmt::format("{} has no field {}; --key-field needs it in every event", place(),
                             arguments_.key_field);
      return false;
    case FieldStatus::not_plain:
      failure_ = fmt::format("{}: field {} is not a string, number or boolean and cannot be a key",
                             place(), arguments_.key_field);
      return false;
  }
  return false;
}

void EventSource::check_reader() {
  if (reader_->too_long())
    failure_ = fmt::format("{} is longer than 64 MiB, the largest event; split it", place());
  if (reader_->error() != 0)
    failure_ =
        fmt::format("cannot read {}: {}; name files that may be read, or - for standard input",
                    opened_.back().name, std::strerror(reader_->error()));
}

}  // namespace millrace::cli
