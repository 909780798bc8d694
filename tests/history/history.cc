#include "tests/history/history.h"

#include <charconv>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace history {
namespace {

constexpr std::string_view first_line = "millrace-journal 1";

template <class Map, class Key>
std::uint32_t index_of(Map& map, const Key& key) {
  const auto at = map.find(key);
  if (at != map.end()) return at->second;
  const auto index = static_cast<std::uint32_t>(map.size());
  map.emplace(typename Map::key_type(key), index);
  return index;
}

}  // namespace

// The fields of one line, taken one after the other.
class JournalReader::Fields {
 public:
  explicit Fields(std::string_view line) : rest_(line) {}

  std::string_view word() {
    const std::size_t end = std::min(rest_.find(' '), rest_.size());
    const std::string_view word = rest_.substr(0, end);
    if (word.empty()) throw std::runtime_error("a field is missing");
    rest_.remove_prefix(std::min(end + 1, rest_.size()));
    return word;
  }
  std::uint64_t number() {
    const std::string_view text = word();
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size())
      throw std::runtime_error("\"" + std::string(text) + "\" is not a number");
    return value;
  }
  std::int64_t time() { return static_cast<std::int64_t>(number()); }
  std::uint64_t offset() {
    if (rest_.starts_with('-')) return word(), no_offset;
    return number();
  }
  Run run() {
    const std::uint64_t first = number();
    const std::uint64_t count = number();
    if (count == 0 || count > (1u << 24) || first > (std::uint64_t{1} << 32))
      throw std::runtime_error("a run of " + std::to_string(count) + " events from " +
                               std::to_string(first) + " is out of bounds");
    return {first, count};
  }
  void end() const {
    if (!rest_.empty()) throw std::runtime_error("a field too many");
  }

 private:
  std::string_view rest_;
};

void JournalReader::add_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(path + ": cannot be read");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  add_text(path, text);
}

void JournalReader::add_text(const std::string& name, std::string_view text) {
  Source source{static_cast<std::uint32_t>(history_.files.size()), 0};
  history_.files.push_back(name);
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return;  // what a killed process left of a record
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 1);
    ++source.line;
    try {
      if (source.line == 1) {
        if (line != first_line) throw std::runtime_error("not \"" + std::string(first_line) + "\"");
      } else {
        add_line(line, source);
      }
    } catch (const std::runtime_error& error) {
      throw std::runtime_error(history_.place(source) + ": " + error.what());
    }
  }
}

void JournalReader::add_line(std::string_view line, Source source) {
  Fields fields(line);
  const std::string_view kind = fields.word();
  if (kind == "send" || kind == "ok" || kind == "fail" || kind == "unknown")
    add_sending(kind, fields, source);
  else if (kind == "open" || kind == "read" || kind == "bad" || kind == "damaged" ||
           kind == "skip" || kind == "final")
    add_reading(kind, fields, source);
  else
    add_circumstance(kind, fields, source);
  fields.end();
}

void JournalReader::add_sending(std::string_view kind, Fields& fields, Source source) {
  if (kind == "send") {
    Send send;
    send.time = fields.time();
    send.session = session(fields.number());
    send.partition = partition(fields.word());
    send.events = fields.run();
    send.source = source;
    history_.sends.push_back(send);
    return;
  }
  Completion completion;
  completion.time = fields.time();
  completion.session = session(fields.number());
  completion.events = fields.run();
  completion.outcome = kind == "ok"     ? Outcome::ok
                       : kind == "fail" ? Outcome::failed
                                        : Outcome::unknown;
  if (kind == "ok")
    completion.offset = fields.offset();
  else
    completion.why = fields.word();
  completion.source = source;
  history_.completions.push_back(std::move(completion));
}

void JournalReader::add_reading(std::string_view kind, Fields& fields, Source source) {
  using Kind = ReaderStep::Kind;
  ReaderStep step;
  step.time = fields.time();
  step.reader = reader(fields.word());
  step.partition = partition(fields.word());
  step.offset = fields.offset();
  step.source = source;
  static const std::map<std::string_view, Kind> kinds = {
      {"open", Kind::open},       {"read", Kind::read}, {"bad", Kind::bad},
      {"damaged", Kind::damaged}, {"skip", Kind::skip}, {"final", Kind::final_range}};
  step.kind = kinds.at(kind);
  if (step.kind == Kind::read) {
    step.session = session(fields.number());
    step.events = fields.run();
  }
  if (step.kind == Kind::final_range || step.kind == Kind::damaged) step.end = fields.number();
  if (step.kind != Kind::open && step.offset > (std::uint64_t{1} << 62))
    throw std::runtime_error("an offset out of bounds");
  history_.steps.push_back(step);
}

void JournalReader::add_circumstance(std::string_view kind, Fields& fields, Source source) {
  if (kind == "bounds") {
    Bounds bounds;
    bounds.asked = fields.time();
    bounds.answered = fields.time();
    bounds.partition = partition(fields.word());
    bounds.start = fields.number();
    bounds.end = fields.number();
    bounds.source = source;
    history_.bounds.push_back(bounds);
    return;
  }
  const std::int64_t time = fields.time();
  const std::string_view name = fields.word();
  if (kind == "topic") {
    const std::string_view policy = fields.word();
    if (policy != "kept" && policy != "removable")
      throw std::runtime_error("a topic is kept or removable");
    history_.topics[topic(name)].removable = policy == "removable";
  } else if (kind == "delete") {
    history_.topics[topic(name)].deleted = true;
  } else if (kind == "trim") {
    history_.trimmed[partition(name)] = true;
    static_cast<void>(fields.offset());
  } else if (kind == "broker" && (name == "up" || name == "down")) {
    if (name == "down") history_.broker_ends.push_back(time);
  } else {
    throw std::runtime_error("unknown record \"" + std::string(kind) + "\"");
  }
}

std::uint32_t JournalReader::topic(std::string_view name) {
  const std::uint32_t index = index_of(topics_, name);
  if (index == history_.topics.size()) history_.topics.push_back({std::string(name), false, false});
  return index;
}

std::uint32_t JournalReader::partition(std::string_view name) {
  const std::uint32_t index = index_of(partitions_, name);
  if (index < history_.partitions.size()) return index;
  const std::size_t slash = name.rfind('/');
  if (slash == std::string_view::npos || slash == 0)
    throw std::runtime_error("\"" + std::string(name) + "\" is not topic/number");
  history_.partitions.push_back({std::string(name), topic(name.substr(0, slash))});
  history_.trimmed.push_back(false);
  return index;
}

std::uint32_t JournalReader::reader(std::string_view name) {
  const std::uint32_t index = index_of(readers_, name);
  if (index == history_.readers.size()) history_.readers.emplace_back(name);
  return index;
}

std::uint32_t JournalReader::session(std::uint64_t number) {
  const std::uint32_t index = index_of(sessions_, number);
  if (index == history_.sessions.size()) history_.sessions.push_back(number);
  return index;
}

History JournalReader::take() { return std::move(history_); }

}  // namespace history
