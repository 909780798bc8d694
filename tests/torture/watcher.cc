#include "tests/torture/watcher.h"

#include "tests/torture/payload.h"

#include <fmt/core.h>

#include <algorithm>
#include <random>
#include <stdexcept>
#include <thread>

namespace millrace::torture {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds look_again{100};
constexpr milliseconds pause{50};

}  // namespace

void ReaderJournal::open(std::int64_t time, std::uint32_t partition,
                         std::optional<std::uint64_t> offset) {
  expected_.erase(partition);
  if (offset) expected_[partition] = *offset;
  journal_.write(fmt::format("open {} {} {} {}\n", time, reader_, place(partition),
                             offset ? std::to_string(*offset) : "-"));
}

void ReaderJournal::skip(std::uint32_t partition, std::uint64_t offset) {
  expected_[partition] = offset;
  journal_.write(fmt::format("skip {} {} {} {}\n", now_ns(), reader_, place(partition), offset));
}

void ReaderJournal::damage(std::uint32_t partition, std::uint64_t end) {
  journal_.write(fmt::format("damaged {} {} {} {} {}\n", now_ns(), reader_, place(partition),
                             expected_[partition], end));
  expected_[partition] = end;
}

void ReaderJournal::read(const EventBatch& batch) {
  const std::int64_t now = now_ns();
  std::string lines;
  for (std::size_t i = 0; i < batch.events.size();) {
    const EventView& first = batch.events[i];
    const auto name = parse_payload(first.payload);
    std::uint64_t count = 1;
    while (name && i + count < batch.events.size()) {
      const EventView& next = batch.events[i + count];
      const auto next_name = parse_payload(next.payload);
      if (!next_name || next_name->session != name->session ||
          next_name->number != name->number + count || next.offset != first.offset + count)
        break;
      ++count;
    }
    if (name)
      lines += fmt::format("read {} {} {} {} {} {} {}\n", now, reader_, place(batch.partition),
                           first.offset, name->session, name->number, count);
    else
      lines += fmt::format("bad {} {} {} {}\n", now, reader_, place(batch.partition), first.offset);
    i += count;
    expected_[batch.partition] = first.offset + count;
  }
  journal_.write(lines);
}

void ReaderJournal::final_range(std::uint32_t partition, const OffsetBounds& bounds) {
  journal_.write(fmt::format("final {} {} {} {} {}\n", now_ns(), reader_, place(partition),
                             bounds.start_offset, bounds.end_offset));
}

// An error names no partition: it is the one whose place has moved.
void Watcher::note_error(ReaderJournal& lines, const Reader& reader, const ClientError& error) {
  if (error.name != "offset_out_of_range" && error.name != "corrupt") return;
  bool moved = false;
  const auto expected = lines.expected();
  for (const auto& [partition, offset] : expected) {
    const std::uint64_t now = reader.position(partition);
    if (now <= offset) continue;
    moved = true;
    if (error.name == "corrupt")
      lines.damage(partition, now);
    else
      lines.skip(partition, now);
  }
  if (moved) return;
  // It had read further than the log goes now.
  for (const auto& [partition, offset] : expected)
    if (offset > error.range_end) lines.skip(partition, error.range_end);
}

void Watcher::follow(const std::atomic<bool>& stop) {
  ReaderJournal lines(journal_, prefix_ + "follow", topic_.topic);
  while (!stop) {
    // From the start; after an error that ended a partition from where it was.
    std::vector<ReadFrom> wishes;
    for (std::uint32_t partition = 0; partition < topic_.partitions; ++partition) {
      const auto place = lines.expected().find(partition);
      const bool is_new = place == lines.expected().end();
      wishes.push_back({partition, is_new ? Place::from_start() : Place::at(place->second), {}});
    }
    const std::int64_t opened = now_ns();
    auto reader = Reader::open(topic_.client, topic_.topic, wishes);
    if (!reader) {
      std::this_thread::sleep_for(pause);
      continue;
    }
    for (std::uint32_t partition = 0; partition < topic_.partitions; ++partition) {
      const auto place = lines.expected().find(partition);
      const std::uint64_t begin = reader->position(partition);
      // An offset is clamped into the log: said as what it is.
      if (place != lines.expected().end() && place->second != begin) lines.skip(partition, begin);
      lines.open(opened, partition, begin);
    }
    if (!follow(*reader, lines, stop)) return;
  }
}

// True: it can be opened again.
bool Watcher::follow(Reader& reader, ReaderJournal& lines, const std::atomic<bool>& stop) {
  while (!stop) {
    const auto batch = reader.next(look_again);
    if (batch) {
      lines.read(*batch);
      continue;
    }
    const std::string& name = batch.error().name;
    note_error(lines, reader, batch.error());
    if (name == "unknown_topic") return false;
    if (name == "offset_out_of_range" || name == "corrupt" || name == "timed_out") continue;
    std::this_thread::sleep_for(pause);
    return true;
  }
  return false;
}

// The loss at the place where this batch's partition stands, if it lies before the batch.
bool Watcher::take_loss(ReaderJournal& lines, const EventBatch& batch, std::vector<LiveGap>& lost) {
  const auto expected = lines.expected().find(batch.partition);
  if (expected == lines.expected().end()) return false;
  const auto loss = std::find_if(lost.begin(), lost.end(), [&](const LiveGap& gap) {
    return gap.partition == batch.partition && gap.begin == expected->second &&
           gap.end <= batch.events.front().offset;
  });
  if (loss == lost.end()) return false;
  lines.skip(loss->partition, loss->end);
  lost.erase(loss);
  return true;
}

void Watcher::live(const std::atomic<bool>& stop) {
  ReaderJournal lines(journal_, prefix_ + "live", topic_.topic);
  std::optional<LiveReader> reader;
  while (!stop && !reader) {
    auto opened = LiveReader::open(topic_.client, topic_.topic);
    if (opened)
      reader = std::move(*opened);
    else
      std::this_thread::sleep_for(pause);
  }
  for (std::uint32_t partition = 0; partition < topic_.partitions; ++partition)
    lines.open(now_ns(), partition, std::nullopt);
  std::vector<LiveGap> lost;  // told, and not come to yet
  while (!stop) {
    const auto batch = reader->next(look_again);
    for (const LiveGap& gap : reader->take_gaps())
      if (!gap.repaired) lost.push_back(gap);
    if (!batch) {
      if (batch.error().name == "unknown_topic") return;
      continue;
    }
    if (batch->events.empty()) continue;
    // In the order of their offsets: one that ends where the next begins is one loss told in two.
    while (take_loss(lines, *batch, lost)) {
    }
    lines.read(*batch);
  }
}

void Watcher::sample(const std::atomic<bool>& stop, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  while (!stop) {
    const auto partition = static_cast<std::uint32_t>(random() % topic_.partitions);
    const std::uint64_t chance = random();
    if (!sample_once(chance, 1 + random() % 2'000, partition)) std::this_thread::sleep_for(pause);
  }
}

// False: nothing to read, or no broker.
bool Watcher::sample_once(std::uint64_t begin_chance, std::uint64_t count,
                          std::uint32_t partition) {
  ReaderJournal lines(journal_, fmt::format("{}sample-{}", prefix_, samples_++), topic_.topic);
  const auto now = bounds(partition);
  if (!now || now->start_offset >= now->end_offset) return false;
  const std::uint64_t begin =
      now->start_offset + begin_chance % (now->end_offset - now->start_offset);
  const std::uint64_t end = std::min(begin + count, now->end_offset);
  const std::int64_t opened = now_ns();
  auto reader =
      Reader::open(topic_.client, topic_.topic, {{partition, Place::at(begin), Place::at(end)}});
  if (!reader) return false;
  lines.open(opened, partition, reader->position(partition));
  const std::int64_t deadline = now_ns() + 5'000'000'000;
  while (!reader->finished() && now_ns() < deadline) {
    const auto batch = reader->next(look_again);
    if (batch) {
      lines.read(*batch);
    } else {
      note_error(lines, *reader, batch.error());
      return false;
    }
  }
  std::this_thread::sleep_for(milliseconds(5));
  return true;
}

std::optional<OffsetBounds> Watcher::bounds(std::uint32_t partition) {
  const std::int64_t asked = now_ns();
  const auto answer = Admin(topic_.client).offsets(topic_.topic, partition, Place::from_start());
  if (!answer) return std::nullopt;
  journal_.write(fmt::format("bounds {} {} {}/{} {} {}\n", asked, now_ns(), topic_.topic, partition,
                             answer->start_offset, answer->end_offset));
  return *answer;
}

void Watcher::probe(const std::atomic<bool>& stop) {
  while (!stop) {
    for (std::uint32_t partition = 0; partition < topic_.partitions && !stop; ++partition)
      static_cast<void>(bounds(partition));
    std::this_thread::sleep_for(milliseconds(20));
  }
}

void Watcher::read_all(std::chrono::seconds patience) {
  const std::int64_t deadline = now_ns() + std::chrono::nanoseconds(patience).count();
  // Where retention runs the start may move under the reader.
  for (int attempt = 0; attempt < 10; ++attempt)
    if (read_all_once(fmt::format("{}final-{}", prefix_, attempt), deadline)) return;
  throw std::runtime_error(topic_.topic + ": the final reading was disturbed ten times");
}

bool Watcher::read_all_once(const std::string& reader_name, std::int64_t deadline) {
  ReaderJournal lines(journal_, reader_name, topic_.topic);
  std::vector<OffsetBounds> all;
  std::vector<ReadFrom> wishes;
  for (std::uint32_t partition = 0; partition < topic_.partitions; ++partition) {
    const auto now = bounds(partition);
    if (!now) throw std::runtime_error(topic_.topic + ": no answer for its bounds");
    all.push_back(*now);
    wishes.push_back({partition, Place::at(now->start_offset), Place::at(now->end_offset)});
  }
  const std::int64_t opened = now_ns();
  auto reader = Reader::open(topic_.client, topic_.topic, wishes);
  if (!reader) throw std::runtime_error(topic_.topic + ": " + reader.error().to_string());
  for (std::uint32_t partition = 0; partition < topic_.partitions; ++partition) {
    if (reader->position(partition) != all[partition].start_offset) return false;
    lines.open(opened, partition, all[partition].start_offset);
  }
  while (!reader->finished()) {
    const auto batch = reader->next(look_again);
    if (now_ns() > deadline)
      throw std::runtime_error(topic_.topic + ": the final reading did not end in time");
    if (batch) {
      lines.read(*batch);
      continue;
    }
    note_error(lines, *reader, batch.error());
    if (batch.error().name == "offset_out_of_range") return false;
    if (batch.error().name != "corrupt" && batch.error().name != "timed_out")
      throw std::runtime_error(topic_.topic + ": " + batch.error().to_string());
  }
  for (std::uint32_t partition = 0; partition < topic_.partitions; ++partition)
    lines.final_range(partition, all[partition]);
  return true;
}

}  // namespace millrace::torture
