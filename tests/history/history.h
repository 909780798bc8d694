// What happened in a torture run, as its journals tell it (tests/history/README.md has the format).
//
// Written from the promises of docs/architecture.md alone: nothing in this folder includes a header
// of the broker, the storage or the client, so that an error of theirs cannot be one of the judge.
//
// Numbers: times are nanoseconds of one monotonic clock; sessions, partitions, readers and topics
// are indexes into the tables of names. Nothing here is checked but the form of the records.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace history {

constexpr std::uint64_t no_offset = UINT64_MAX;

// Where a record stands, for people.
struct Source {
  std::uint32_t file = 0;
  std::uint32_t line = 0;
};

struct Run {
  std::uint64_t first = 0, count = 0;
};

struct Send {
  std::int64_t time = 0;
  std::uint32_t session = 0, partition = 0;
  Run events;
  Source source;
};

enum class Outcome : std::uint8_t { open, ok, failed, unknown };

struct Completion {
  std::int64_t time = 0;
  std::uint32_t session = 0;
  Run events;
  Outcome outcome = Outcome::open;
  std::uint64_t offset = no_offset;
  std::string why;
  Source source;
};

struct ReaderStep {
  enum class Kind : std::uint8_t { open, read, bad, damaged, skip, final_range };
  Kind kind = Kind::read;
  std::int64_t time = 0;
  std::uint32_t reader = 0, partition = 0;
  std::uint64_t offset = 0;
  std::uint32_t session = 0;
  Run events;             // read
  std::uint64_t end = 0;  // damaged, final_range: [offset, end)
  Source source;
};

struct Bounds {
  std::int64_t asked = 0, answered = 0;
  std::uint32_t partition = 0;
  std::uint64_t start = 0, end = 0;
  Source source;
};

struct Partition {
  std::string name;
  std::uint32_t topic = 0;
};

struct Topic {
  std::string name;
  bool removable = false;
  bool deleted = false;
};

struct History {
  std::vector<std::string> files;
  std::vector<Topic> topics;
  std::vector<Partition> partitions;
  std::vector<std::string> readers;
  std::vector<std::uint64_t> sessions;  // the numbers as journaled
  std::vector<Send> sends;
  std::vector<Completion> completions;
  std::vector<ReaderStep> steps;  // of one reader in the order of its file
  std::vector<Bounds> bounds;
  std::vector<std::int64_t> broker_ends;
  std::vector<bool> trimmed;  // per partition

  std::string place(Source source) const {
    return files[source.file] + ":" + std::to_string(source.line);
  }
};

// Reads journals into one history.
class JournalReader {
 public:
  // Throws std::runtime_error that names the file and the line.
  void add_file(const std::string& path);
  void add_text(const std::string& name, std::string_view text);
  History take();

 private:
  class Fields;
  void add_line(std::string_view line, Source source);
  void add_sending(std::string_view kind, Fields& fields, Source source);
  void add_reading(std::string_view kind, Fields& fields, Source source);
  void add_circumstance(std::string_view kind, Fields& fields, Source source);
  std::uint32_t topic(std::string_view name);
  std::uint32_t partition(std::string_view name);
  std::uint32_t reader(std::string_view name);
  std::uint32_t session(std::uint64_t number);

  History history_;
  std::map<std::string, std::uint32_t, std::less<>> topics_, partitions_, readers_;
  std::map<std::uint64_t, std::uint32_t> sessions_;
};

}  // namespace history
