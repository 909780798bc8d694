// A log on a simulated disk, and the list of all that was appended to it: what the naive twin of a
// log is.
//
// after(...) checks compare what can be read with that list: G1 (nothing acked is missing), G2 and
// G3 (the same bytes at the same offsets without a gap), G6 and G7 (nothing but what was appended
// is ever delivered).
#pragma once

#include "storage/format/segment_layout.h"
#include "storage/log_files.h"
#include "tests/sim/sim_storage.h"
#include "tests/support/batch_maker.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace millrace::test {

struct KnownBatch {
  OffsetRange offsets;
  Bytes sent;  // as the producer made it
};

class LogFixture {
 public:
  explicit LogFixture(std::uint64_t seed = 1,
                      sim::SimStorageOptions options = {.log = sim::small_log_options()})
      : storage(seed, std::move(options)) {
    open();
  }

  // -- life
  void open() {
    const auto opened = storage.open();
    INFO(storage.disk().trace());
    REQUIRE(reason(opened) == "");
  }
  void close() { REQUIRE(reason(storage.close()) == ""); }
  void reopen() {
    close();
    open();
  }
  void crash(const sim::CrashPolicy& policy = sim::CrashPolicy::none()) {
    note_acked();
    const auto opened = storage.crash_and_reopen(policy);
    INFO(storage.disk().trace());
    REQUIRE(reason(opened) == "");
    adopt();
  }
  // All that a stopped log left behind, to start from again and again. The log is open afterwards.
  sim::SimDisk::Files files_after_crash(const sim::CrashPolicy& policy = sim::CrashPolicy::none()) {
    storage.crash(policy);
    auto files = storage.disk().files();
    open();
    return files;
  }

  // -- appending
  OffsetRange stage(const Bytes& batch) {
    auto range = storage.append(batch);
    // Two segments wait for the disk already.
    for (int i = 0; !range && range.error().code == Errc::overloaded && i < 1000; ++i) {
      storage.turn();
      range = storage.append(batch);
    }
    INFO((range ? std::string() : range.error().to_string()));
    REQUIRE(range);
    known.push_back({*range, batch});
    return *range;
  }
  OffsetRange put(const Bytes& batch) {
    const auto range = stage(batch);
    commit();
    return range;
  }
  void commit() {
    REQUIRE(reason(storage.commit()) == "");
    note_acked();
  }
  // `count` batches of about this size, each a commit of its own.
  void put_many(std::size_t count, std::size_t batch_bytes = 1000) {
    for (std::size_t i = 0; i < count; ++i) {
      const char fill = static_cast<char>('a' + known.size() % 26);
      put(make_batch_of_bytes(batch_bytes, fill));
    }
  }
  // Until the log has so many segments.
  void put_segments(std::size_t count, std::size_t batch_bytes = 4000) {
    for (int i = 0; storage.log().segment_count() < count && i < 10'000; ++i)
      put_many(1, batch_bytes);
    REQUIRE(storage.log().segment_count() == count);
  }

  // -- checking
  void note_acked() {
    if (storage.is_open()) acked_end = std::max(acked_end, storage.told_end());
  }
  // What was not acked may have survived a crash or not, but only from the front.
  void adopt() {
    const Offset end = storage.log().durable_end();
    INFO("end " << end.value << " acked " << acked_end.value);
    REQUIRE(end >= acked_end);
    while (!known.empty() && known.back().offsets.begin >= end) known.pop_back();
    REQUIRE((known.empty() || known.back().offsets.end == end));
    acked_end = end;
  }
  // Everything from the start on can be read, is what was appended, and nothing else is there.
  void require_all(bool from_disk = false, std::size_t bytes_max = 1 * MiB) {
    const auto contents = read_all(from_disk, bytes_max);
    REQUIRE(contents.holes.empty());
    require_known(contents, {});
  }
  // The same around holes, whose batches must not be delivered.
  void require_all_but(const std::vector<OffsetRange>& holes, bool from_disk = false) {
    const auto contents = read_all(from_disk, 1 * MiB);
    REQUIRE(contents.holes == holes);
    require_known(contents, holes);
  }
  sim::StoredContents read_all(bool from_disk, std::size_t bytes_max) {
    storage.settle();  // retention may be under way
    auto contents = storage.read_all(bytes_max, from_disk);
    INFO(storage.disk().trace());
    REQUIRE((contents ? std::string() : contents.error().to_string()) == "");
    return std::move(*contents);
  }
  void require_known(const sim::StoredContents& contents, const std::vector<OffsetRange>& holes) {
    const Offset start = storage.log().start_offset(), end = storage.log().durable_end();
    std::size_t i = 0;
    for (const auto& batch : known) {
      if (batch.offsets.end <= start || batch.offsets.begin >= end) continue;
      const bool lost = std::any_of(holes.begin(), holes.end(), [&](const OffsetRange& hole) {
        return hole.begin <= batch.offsets.begin && batch.offsets.end <= hole.end;
      });
      if (lost) continue;
      REQUIRE(i < contents.batches.size());
      require_same(contents.batches[i++], batch);
    }
    REQUIRE(i == contents.batches.size());
  }
  static void require_same(const sim::StoredBatch& stored, const KnownBatch& batch) {
    const auto sent = view_of(batch.sent);
    REQUIRE(stored.header.range() == batch.offsets);
    REQUIRE(stored.header.producer_id == sent.header().producer_id);
    REQUIRE(stored.header.producer_epoch == sent.header().producer_epoch);
    REQUIRE(stored.header.sequence == sent.header().sequence);
    REQUIRE(stored.header.max_event_time == sent.header().max_event_time);
    REQUIRE(std::equal(stored.bytes.begin() + batch_layout::header_bytes, stored.bytes.end(),
                       batch.sent.begin() + batch_layout::header_bytes, batch.sent.end()));
  }
  // The log takes appends and keeps them.
  void require_alive() {
    put_many(2);
    require_all();
  }

  // A log that was trimmed to its end has the file of the next segment, and nothing in it.
  void require_end_alone() {
    REQUIRE(storage.files_ending(".segment") ==
            std::vector<std::string>{segment_file_name(storage.log().durable_end())});
    REQUIRE(storage.disk().read_file(storage.segment_path(0)).size() ==
            segment_layout::header_bytes);
  }
  // The disk has no room for one file more: a log that is trimmed to its end keeps none.
  void refuse_new_segments() {
    storage.disk().inject({.call = sim::Call::open,
                           .error = Errc::storage_full,
                           .nth = 1,
                           .for_ever = true,
                           .path = ".moving"});
  }

  // Where a batch lies: its segment's path and its header's position.
  std::pair<std::string, std::uint64_t> place_of(Offset base) {
    const auto contents = read_all(true, 1 * MiB);
    for (const auto& batch : contents.batches) {
      if (batch.header.base_offset != base) continue;
      std::string found;
      for (const auto& name : storage.files_ending(".segment")) {
        if (Offset{std::stoull(name)} <= base) found = storage.path(name);
      }
      return {found, batch.header.position};
    }
    FAIL("no batch begins at offset " << base.value);
    return {};
  }

  static std::string reason(const Result<void>& result) {
    return result ? std::string() : result.error().to_string();
  }

  sim::SimStorage storage;
  std::vector<KnownBatch> known;
  Offset acked_end;
};

}  // namespace millrace::test
