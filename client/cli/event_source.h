// Turns the files of `millrace produce` into events, one after the other, as views.
//
// Owner: the produce command. An event's views live until the next call of next().
#pragma once

#include "commands.h"
#include "json_field.h"
#include "line_reader.h"
#include "millrace/event.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace millrace::cli {

// Why one of the files cannot be read, in a line; empty: all of them are there.
std::string unreadable_file(const std::vector<std::string>& files);

class EventSource {
 public:
  // `key_separator` with its escapes undone.
  EventSource(const ProduceArguments& arguments, std::string key_separator);
  ~EventSource();
  EventSource(const EventSource&) = delete;
  EventSource& operator=(const EventSource&) = delete;

  // The next event; nothing at the end of the last file, at an interrupt or after a failure.
  std::optional<Event> next();
  // Empty, or what is wrong, with file and line.
  const std::string& failure() const { return failure_; }
  // "events.jsonl line 17": where the last event came from.
  std::string place() const;
  // The same of event `number`, counted from 0: one that next() gave, or the one behind them.
  std::string place_of(std::uint64_t number) const;
  // Whether asking for the next event may wait for input.
  bool may_wait() const { return reader_ == nullptr || !reader_->has_line(); }

 private:
  // A file that was opened, and the number of its first event.
  struct Opened {
    std::string name;
    std::uint64_t first_event = 0;
  };
  bool open_next_file();
  std::string place(const Opened& file, std::uint64_t line) const;
  void close_file();
  bool set_key(std::string_view text, Event& event);
  void check_reader();

  const ProduceArguments& arguments_;
  std::string key_separator_;
  std::optional<JsonFieldScanner> key_field_;
  std::vector<HeaderField> headers_;
  std::vector<std::string> files_;
  std::size_t next_file_ = 0;
  std::vector<Opened> opened_;
  std::uint64_t events_ = 0;  // that next() gave
  int descriptor_ = -1;
  std::unique_ptr<LineReader> reader_;
  std::uint64_t blocks_seen_ = 0;
  std::int64_t time_ns_ = 0;
  std::string failure_;
};

}  // namespace millrace::cli
