// Readers under torture: each follows or samples a topic in its own way and journals what it was
// given.
//
//   follow   Reader, all partitions, from the start on, for ever
//   live     LiveReader, from now on, for ever
//   sample   Reader, some events from a random place, again and again
//   probe    asks for the bounds of each partition, again and again
//
// Owner: the load program, one thread for each call.
#pragma once

#include "millrace/millrace.h"
#include "tests/torture/journal.h"

#include <atomic>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace millrace::torture {

struct WatchedTopic {
  Client client;
  std::string topic;
  std::uint32_t partitions = 0;
};

// What one reader was given, as lines.
class ReaderJournal {
 public:
  ReaderJournal(Journal& journal, std::string reader, std::string topic)
      : journal_(journal), reader_(std::move(reader)), topic_(std::move(topic)) {}

  // Empty offset: wherever its first event lies.
  void open(std::int64_t time, std::uint32_t partition, std::optional<std::uint64_t> offset);
  void skip(std::uint32_t partition, std::uint64_t offset);
  // From where it is to `end`.
  void damage(std::uint32_t partition, std::uint64_t end);
  void read(const EventBatch& batch);
  void final_range(std::uint32_t partition, const OffsetBounds& bounds);
  // Where the next event of each partition is expected.
  const std::map<std::uint32_t, std::uint64_t>& expected() const { return expected_; }

 private:
  std::string place(std::uint32_t partition) const {
    return topic_ + "/" + std::to_string(partition);
  }
  Journal& journal_;
  const std::string reader_, topic_;
  std::map<std::uint32_t, std::uint64_t> expected_;
};

class Watcher {
 public:
  Watcher(Journal& journal, WatchedTopic topic, std::string prefix)
      : journal_(journal), topic_(std::move(topic)), prefix_(std::move(prefix)) {}

  void follow(const std::atomic<bool>& stop);
  void live(const std::atomic<bool>& stop);
  void sample(const std::atomic<bool>& stop, std::uint64_t seed);
  void probe(const std::atomic<bool>& stop);
  // The final reading: everything, once, while nobody sends. Throws std::runtime_error if it cannot
  // be completed.
  void read_all(std::chrono::seconds patience);

 private:
  bool follow(Reader& reader, ReaderJournal& lines, const std::atomic<bool>& stop);
  static bool take_loss(ReaderJournal& lines, const EventBatch& batch, std::vector<LiveGap>& lost);
  bool sample_once(std::uint64_t begin_chance, std::uint64_t count, std::uint32_t partition);
  bool read_all_once(const std::string& reader, std::int64_t deadline);
  std::optional<OffsetBounds> bounds(std::uint32_t partition);
  // An error moved the reader: told as what it says it skipped.
  void note_error(ReaderJournal& lines, const Reader& reader, const ClientError& error);

  Journal& journal_;
  WatchedTopic topic_;
  const std::string prefix_;
  std::uint64_t samples_ = 0;
};

}  // namespace millrace::torture
