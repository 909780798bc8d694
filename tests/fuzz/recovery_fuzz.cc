// The files of a log, all of whose bytes may be anything, through recovery (ST-01 to ST-11, ST-39).
//
// Input: u8 of flags, then up to 8 files: u8 kind, u64 base offset, u32 bytes, the bytes. They lie
// on a simulated disk without faults, and in a real directory for the offline check. What must
// hold:
//
//   - the log opens; what it serves verifies, in order, and every gap is told as a range;
//   - opened again after a clean stop or a loss of power it is the same log;
//   - an append that it takes is there the next time, behind all that was there before;
//   - the offline check knows of the same damage.
#include "storage/base/check.h"
#include "storage/format/checkpoint_layout.h"
#include "storage/format/index_layout.h"
#include "storage/format/segment_layout.h"
#include "storage/inspect/batch_events.h"
#include "storage/inspect/partition_check.h"
#include "storage/log_files.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/sealing.h"
#include "tests/sim/sim_storage.h"
#include "tests/support/batch_maker.h"
#include "tests/support/temp_dir.h"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>

namespace millrace::fuzz {
namespace {

using sim::CrashPolicy;
using sim::SimStorage;
using sim::StoredContents;

enum Flag : std::uint8_t { lose_power = 1, append_one = 2 };
constexpr std::size_t files_max = 8;
constexpr std::size_t file_bytes_max = 64 * KiB;

struct LogFile {
  enum class Kind : std::uint8_t { segment, index, first_slot, second_slot } kind;
  std::uint64_t base = 0;
  Bytes bytes;
};

struct Image {
  std::uint8_t flags = 0;
  std::vector<LogFile> files;

  static Image parse(ByteView input) {
    Image out;
    Input in(input);
    out.flags = in.take<std::uint8_t>();
    while (!in.rest().empty() && out.files.size() < files_max) {
      LogFile file{};
      file.kind = static_cast<LogFile::Kind>(in.take<std::uint8_t>() % 4);
      file.base = in.take<std::uint64_t>();
      const std::size_t bytes = in.take<std::uint32_t>();
      file.bytes = copy_of(in.take_bytes(std::min(bytes, file_bytes_max)));
      out.files.push_back(std::move(file));
    }
    return out;
  }
  Bytes to_input() const {
    Bytes out;
    append(out, flags);
    for (const LogFile& file : files) {
      append(out, static_cast<std::uint8_t>(file.kind));
      append(out, file.base);
      append(out, static_cast<std::uint32_t>(file.bytes.size()));
      append_bytes(out, file.bytes);
    }
    return out;
  }
  // Names to contents; both slots share a file.
  std::map<std::string, Bytes> by_name() const {
    std::map<std::string, Bytes> out;
    for (const LogFile& file : files) {
      const Offset base{file.base};
      if (file.kind == LogFile::Kind::segment) out[segment_file_name(base)] = file.bytes;
      if (file.kind == LogFile::Kind::index) out[index_file_name(base)] = file.bytes;
      if (file.kind != LogFile::Kind::first_slot && file.kind != LogFile::Kind::second_slot)
        continue;
      Bytes& slots = out[std::string(checkpoint_file_name)];
      const std::size_t at =
          file.kind == LogFile::Kind::first_slot ? 0 : checkpoint_layout::slot_bytes;
      if (slots.size() < at + file.bytes.size()) slots.resize(at + file.bytes.size());
      std::copy(file.bytes.begin(), file.bytes.end(),
                slots.begin() + static_cast<std::ptrdiff_t>(at));
    }
    return out;
  }
};

// What a log looks like to its readers.
struct Seen {
  Offset start, end;
  std::string refusal;
  StoredContents contents;

  explicit Seen(SimStorage& storage)
      : start(storage.log().start_offset()),
        end(storage.log().durable_end()),
        refusal(storage.log().refusal()) {
    auto all = storage.read_all(64 * KiB, true);
    if (!all) fmt::print(stderr, "{}\n", all.error().to_string());
    CHECK(all.has_value(), "whatever lies there can be read, or is told as a range");
    contents = std::move(*all);
    Offset next = start;
    auto hole = contents.holes.begin();
    for (const auto& batch : contents.batches) {
      while (hole != contents.holes.end() && hole->end <= batch.header.base_offset) {
        next = std::max(next, hole->end);
        ++hole;
      }
      // A start may lie within a batch.
      CHECK(batch.header.base_offset <= next || batch.header.base_offset == next || next == start,
            "no gap that nobody told of");
      CHECK(batch.header.end_offset() > next, "batches go forward");
      next = batch.header.end_offset();
    }
    for (; hole != contents.holes.end(); ++hole) next = std::max(next, hole->end);
    CHECK(next >= end, "all up to the durable end is served or told of");
  }

  std::string to_string() const {
    std::string out = fmt::format("[{}, {}) '{}':", start.value, end.value, refusal);
    for (const auto& batch : contents.batches)
      out += fmt::format(" {}-{}", batch.header.base_offset.value, batch.header.end_offset().value);
    for (const OffsetRange& hole : contents.holes)
      out += fmt::format(" hole {}-{}", hole.begin.value, hole.end.value);
    return out;
  }
  // A log that was scanned to its end has seen more than one that trusts a checkpoint, which takes
  // every batch by its own checksums and place: what only the chain of batches had told against is
  // served then. Nothing that was served is ever lost.
  void check_same(const Seen& before) const {
    if (to_string() != before.to_string())
      fmt::print(stderr, "before {}\nagain  {}\n", before.to_string(), to_string());
    CHECK(start == before.start && end == before.end, "a log opened again has the same ends");
    CHECK(refusal.empty() == before.refusal.empty(), "a log opened again refuses the same");
    check_has_all_of(before);
  }
  void check_has_all_of(const Seen& before) const {
    auto at = contents.batches.begin();
    for (const auto& batch : before.contents.batches) {
      at = std::find_if(at, contents.batches.end(), [&](const auto& here) {
        return here.header.base_offset == batch.header.base_offset;
      });
      CHECK(at != contents.batches.end(), "no batch is lost");
      CHECK(at->bytes == batch.bytes, "a batch stays what it was");
    }
  }
};

// The same files for tools that read real directories.
inspect::DirectoryReport checked_offline(const std::map<std::string, Bytes>& files,
                                         const LogIdentity& identity,
                                         inspect::PartitionReport& partition) {
  static const test::TempDir directory;
  static std::vector<std::string> before;
  for (const std::string& name : before) std::filesystem::remove(directory / name);
  before.clear();
  for (const auto& [name, bytes] : files) {
    std::ofstream(directory / name, std::ios::binary) << as_text(bytes);
    before.push_back(name);
  }
  inspect::Inspection inspection(directory.path(), inspect::Depth::verify, {});
  inspect::PartitionCheck check(inspection,
                                {identity.cluster_id, identity.topic_id, identity.partition}, ".");
  partition = check.run();
  return std::move(inspection.report);
}

void check_agreement(const Seen& seen, const inspect::DirectoryReport& report,
                     const inspect::PartitionReport& partition) {
  const auto complain = [&](const char* what) {
    fmt::print(stderr, "log [{}, {}) refusal '{}', {} holes; offline [{}, {}), {} faults\n",
               seen.start.value, seen.end.value, seen.refusal, seen.contents.holes.size(),
               partition.start_offset, partition.end_offset, report.faults.size());
    for (const OffsetRange& hole : seen.contents.holes)
      fmt::print(stderr, "  hole [{}, {})\n", hole.begin.value, hole.end.value);
    for (const auto& fault : report.faults)
      fmt::print(stderr, "  fault {} [{}, {}): {}\n", fault.file, fault.begin_offset.value_or(0),
                 fault.end_offset.value_or(0), fault.text);
    for (const auto& note : report.notes)
      fmt::print(stderr, "  note {}: {}\n", note.file, note.text);
    UNREACHABLE(what);
  };
  for (const auto& fault : report.faults) {
    for (const auto& batch : seen.contents.batches) {
      // Only the offline check looks into bodies.
      if (fault.begin_offset && inspect::BatchEvents().check(test::view_of(batch.bytes)) &&
          batch.header.base_offset.value >= *fault.begin_offset &&
          batch.header.end_offset().value <= *fault.end_offset)
        complain("what is told damaged offline is not served");
    }
  }
  if (!report.faults.empty()) return;
  if (!seen.refusal.empty()) complain("a log that refuses appends has a fault offline");
  if (!seen.contents.holes.empty()) complain("a log with holes has a fault offline");
  if (seen.end.value != partition.end_offset) complain("both see the same end");
  if (seen.start.value != partition.start_offset) complain("both see the same start");
}

// Not one that goes to the quarantine.
bool is_segment_of(const LogIdentity& log, const std::string& name, ByteView bytes) {
  const auto base = parse_segment_file_name(name);
  if (!base) return false;
  const auto header = decode_segment_header(bytes);
  return !header || (header->cluster_id == log.cluster_id && header->topic_id == log.topic_id &&
                     header->partition == log.partition && header->base_offset == *base);
}

void run(ByteView input) {
  const Image image = Image::parse(input);
  const auto files = image.by_name();
  SimStorage storage(1);
  for (const auto& [name, bytes] : files) storage.disk().write_file(storage.path(name), bytes);
  const auto opened = storage.open();
  if (!opened) fmt::print(stderr, "{}\n", opened.error().to_string());
  // But for a checkpoint that is damaged and all there is.
  const bool has_segment = std::any_of(files.begin(), files.end(), [&](const auto& file) {
    return is_segment_of(storage.identity(), file.first, file.second);
  });
  CHECK(opened.has_value() || !has_segment, "a log opens whatever its files hold");
  if (!opened) {
    inspect::PartitionReport partition;
    const auto report = checked_offline(files, storage.identity(), partition);
    CHECK(!report.faults.empty(), "the offline check tells why a log does not open");
    return;
  }
  Seen first(storage);
  {
    inspect::PartitionReport partition;
    const auto report = checked_offline(files, storage.identity(), partition);
    check_agreement(first, report, partition);
  }
  static_cast<void>(storage.find_time(WallTime{0}));
  static_cast<void>(storage.find_time(WallTime{1'700'000'000'000'000'000}));
  const auto again = [&] {
    if ((image.flags & lose_power) != 0) {
      CHECK(storage.crash_and_reopen(CrashPolicy::none()).has_value(), "it opens again");
    } else {
      CHECK(storage.close().has_value(), "a log can be closed");
      CHECK(storage.open().has_value(), "it opens again");
    }
  };
  again();
  Seen second(storage);
  second.check_same(first);
  if ((image.flags & append_one) == 0 || !second.refusal.empty()) return;
  const auto range = storage.append_and_commit(test::make_batch("appended"));
  CHECK(range.has_value(), "a log that refuses nothing takes a batch");
  CHECK(range->begin == second.end, "offsets go on behind the end");
  again();
  const Seen third(storage);
  third.check_has_all_of(second);
  CHECK(third.end == range->end, "what was committed is there");
  CHECK(third.contents.batches.size() > second.contents.batches.size(), "and is served");
}

// -- mutation

// Gives all batches of a segment the places that follow each other, whatever they hold.
void chain_again(LogFile& file, Random& random) {
  if (file.bytes.size() < segment_layout::header_bytes) return;
  const std::byte* header = file.bytes.data();
  const auto segment_id = load_le<std::uint64_t>(header + segment_layout::segment_id_at);
  auto crc = load_le<std::uint32_t>(header + segment_layout::previous_crc_at);
  Offset next{load_le<std::uint64_t>(header + segment_layout::base_offset_at)};
  for (const std::size_t at : batch_places(file.bytes)) {
    if (at < segment_layout::header_bytes) continue;
    const MutableBytes batch = MutableBytes(file.bytes).subspan(at);
    std::byte* field = batch.data();
    store_le(field + batch_layout::base_offset_at, next.value);
    store_le(field + batch_layout::position_at, static_cast<std::uint32_t>(at));
    store_le(field + batch_layout::segment_id_at, segment_id);
    store_le(field + batch_layout::previous_crc_at, crc);
    if (random.chance(1, 4))
      store_le(field + batch_layout::durable_position_at,
               static_cast<std::uint32_t>(align_down(random.below(at + 1), 4096)));
    seal_batch_again(batch);
    const auto sealed = parse_batch_header(batch);
    if (!sealed) continue;
    next = sealed->end_offset();
    crc = sealed->header_crc;
  }
}

// Damage, or a batch that is whole and stands where it does not belong. What it holds and how much
// of it there is stays true: nothing can be said of a log whose batches lie under valid checksums.
void change_stored_batch(MutableBytes bytes, Mutation& mutation) {
  constexpr std::size_t fields[] = {batch_layout::durable_position_at,
                                    batch_layout::previous_crc_at, batch_layout::position_at,
                                    batch_layout::segment_id_at, batch_layout::append_time_at};
  Random& random = mutation.random;
  const auto places = batch_places(bytes);
  if (places.empty()) return mutation.change_in_place(bytes);
  const MutableBytes batch = bytes.subspan(places[random.below(places.size())]);
  const std::size_t length = std::min<std::size_t>(
      batch.size(), batch_layout::header_bytes +
                        load_le<std::uint32_t>(batch.data() + batch_layout::body_bytes_at));
  if (random.chance(1, 2)) {
    // A flipped bit, as a medium does it.
    batch[random.below(length)] ^= static_cast<std::byte>(1u << random.below(8));
    return;
  }
  std::byte* field = batch.data() + fields[random.below(std::size(fields))];
  const auto value = load_le<std::uint32_t>(field);
  store_le(field, random.chance(1, 2) ? value + 4096 * static_cast<std::uint32_t>(random.below(5))
                                      : value - 4096 * static_cast<std::uint32_t>(random.below(3)));
  seal_batch_header_again(batch);
}

void change_segment(LogFile& file, Mutation& mutation) {
  Random& random = mutation.random;
  MutableBytes bytes(file.bytes);
  switch (random.below(8)) {
    case 0: shuffle_pieces(bytes, random); break;
    case 1: {
      const std::size_t step = random.chance(1, 2) ? 512 : 1;
      file.bytes.resize(align_down(random.below(bytes.size() + 1), step));
      break;
    }
    case 2:
      file.bytes.resize(std::min(file_bytes_max, bytes.size() + 4096 * random.below(3)));
      break;
    case 3:
      if (bytes.size() < segment_layout::header_bytes) break;
      mutation.change_in_place(bytes.first(96));
      seal_segment_header_again(bytes);
      break;
    case 4: mutation.change_in_place(bytes); break;
    case 5: chain_again(file, random); break;
    default: change_stored_batch(bytes, mutation); break;
  }
}

void mutate(Bytes& input, std::size_t bytes_max, Mutation& mutation) {
  Random& random = mutation.random;
  Image image = Image::parse(input);
  if (image.files.empty()) return mutation.change(input, bytes_max);
  LogFile& file = image.files[random.below(image.files.size())];
  switch (random.below(12)) {
    case 0: image.flags = static_cast<std::uint8_t>(random.below(4)); break;
    case 1: image.files.erase(image.files.begin() + (&file - image.files.data())); break;
    case 2: {
      LogFile copy = file;
      copy.base += random.below(20);
      image.files.push_back(std::move(copy));
      break;
    }
    case 3:
      file.base = random.chance(1, 2) ? file.base + random.below(9) - 4 : random.next();
      break;
    default:
      if (file.kind == LogFile::Kind::segment) {
        change_segment(file, mutation);
      } else {
        // A checkpoint that lies under a valid checksum is outside of what a log can survive.
        mutation.change_in_place(file.bytes);
        if (file.kind == LogFile::Kind::index && random.chance(3, 4)) seal_index_again(file.bytes);
      }
      break;
  }
  if (Bytes changed = image.to_input(); changed.size() <= bytes_max) input = std::move(changed);
}

// -- seeds: what a small log leaves behind in several ways

Image image_of(SimStorage& storage, std::uint8_t flags) {
  Image out;
  out.flags = flags;
  for (const std::string& name : storage.disk().names(storage.identity().directory)) {
    Bytes bytes = storage.disk().read_file(storage.path(name));
    if (const auto base = parse_segment_file_name(name)) {
      // Preallocated zeros only make the corpus large.
      std::size_t used = bytes.size();
      while (used > 0 && bytes[used - 1] == std::byte{0}) --used;
      bytes.resize(std::min(bytes.size(), align_up(used, 4096)));
      out.files.push_back({LogFile::Kind::segment, base->value, std::move(bytes)});
    } else if (const auto index = parse_index_file_name(name)) {
      out.files.push_back({LogFile::Kind::index, index->value, std::move(bytes)});
    } else if (name == checkpoint_file_name) {
      for (const auto kind : {LogFile::Kind::first_slot, LogFile::Kind::second_slot}) {
        const std::size_t at =
            kind == LogFile::Kind::first_slot ? 0 : checkpoint_layout::slot_bytes;
        if (bytes.size() < at + checkpoint_layout::header_bytes) continue;
        const auto length = load_le<std::uint32_t>(bytes.data() + at + 16);
        if (length == 0) continue;
        out.files.push_back({kind, 0, copy_of(ByteView(bytes).subspan(at, length))});
      }
    }
  }
  return out;
}

std::vector<Seed> seeds() {
  std::vector<Seed> out;
  const auto fill = [](SimStorage& storage, std::size_t commits, std::size_t payload_bytes) {
    CHECK(storage.open().has_value(), "a new log opens");
    for (std::uint64_t i = 0; i < commits; ++i) {
      test::TestSession session;
      session.producer_id = 9;
      session.sequence = 3 * i;
      const std::string payload(payload_bytes, static_cast<char>('a' + i));
      CHECK(storage.append(test::make_batch({{"k", payload}, {"", "x"}}, session)).has_value(),
            "a batch is taken");
      session.sequence = 3 * i + 2;
      CHECK(storage.append(test::make_batch("y", session)).has_value(), "a batch is taken");
      CHECK(storage.commit().has_value(), "a commit ends");
    }
  };
  const auto add = [&](std::string name, std::uint8_t flags, std::size_t commits,
                       std::size_t payload_bytes, bool clean) {
    SimStorage storage(7);
    fill(storage, commits, payload_bytes);
    if (clean) {
      CHECK(storage.close().has_value(), "a log closes");
    } else {
      storage.crash(CrashPolicy::none());
    }
    out.push_back({std::move(name), image_of(storage, flags).to_input()});
  };
  add("clean", 0, 3, 50, true);
  add("clean-append", append_one, 2, 50, true);
  add("killed", lose_power | append_one, 3, 50, false);
  add("killed-once", 0, 1, 50, false);
  add("rolled", lose_power, 4, 17'000, false);
  add("rolled-clean", append_one, 4, 17'000, true);
  {
    // One whole commit and one of which the second half is missing.
    SimStorage storage(7);
    fill(storage, 2, 6'000);
    storage.crash(CrashPolicy::none());
    Image image = image_of(storage, append_one);
    for (LogFile& file : image.files)
      if (file.kind == LogFile::Kind::segment) file.bytes.resize(file.bytes.size() - 4096);
    out.push_back({"torn", image.to_input()});
  }
  {
    // Damage whose only proof lies in a torn tail.
    SimStorage storage(7);
    fill(storage, 2, 50);
    storage.crash(CrashPolicy::none());
    Image image = image_of(storage, lose_power | append_one);
    std::erase_if(image.files,
                  [](const LogFile& file) { return file.kind != LogFile::Kind::segment; });
    Bytes& bytes = image.files.at(0).bytes;
    const auto places = batch_places(bytes);
    for (const std::size_t place : {places.at(0), places.at(2)})
      bytes.at(place + batch_layout::header_bytes + 40) ^= std::byte{1};
    out.push_back({"damaged-before-torn", image.to_input()});
  }
  {
    // Of what a clean stop vouches for only the header is left.
    SimStorage storage(7);
    fill(storage, 2, 50);
    CHECK(storage.close().has_value(), "a log closes");
    Image image = image_of(storage, append_one);
    for (LogFile& file : image.files)
      if (file.kind == LogFile::Kind::segment) file.bytes.resize(segment_layout::header_bytes);
    out.push_back({"missing-end", image.to_input()});
  }
  return out;
}

const Register registered({"recovery", run, mutate, seeds});

}  // namespace
}  // namespace millrace::fuzz
