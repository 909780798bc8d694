// Staged operation: reads a segment from a place to its end, batch by batch, and tells a torn tail
// from damage.
//
// Active segment: what does not verify is a torn tail, unless a later commit proves that it was
// durable before: a batch that begins a commit behind the damage says so by its durable_position.
// It is looked for as far as SearchReach says; what lies behind more damage than that, and no
// checkpoint knows, is not found.
// Sealed segment: every batch up to its end offset was durable, so whatever does not verify is
// damage.
//
// Owner: recovery, index loading, reads. Thread: the shard's.
#pragma once

#include "storage/batch_scan.h"
#include "storage/io/disk.h"
#include "storage/slab.h"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace millrace {

class SegmentScan {
 public:
  struct Plan {
    std::string path;
    std::uint64_t segment_id = 0;
    Position from;       // of a batch or a commit boundary
    Offset next_offset;  // of the batch expected there
    std::optional<std::uint32_t> previous_crc;
    // Sealed (or durable part of the active): the scan ends at this offset and all below it must be
    // there.
    std::optional<Offset> end_offset;
    // Active: how far behind damage a later batch is looked for.
    SearchReach reach{};
    // Active: all below it was durable once, as a checkpoint says.
    Offset durable_end = Offset{0};
  };
  struct Damage {
    OffsetRange offsets;
    Position position;
  };
  struct Found {
    Position end_position;  // behind the last batch that counts
    Offset end_offset;
    std::optional<std::uint32_t> last_crc;
    std::optional<BatchHeader> last;
    std::vector<Damage> damage;
    // It went on behind a bad place that had been durable, as a later batch or a checkpoint proved.
    bool went_on_behind = false;
    bool tail_is_dirty =
        false;  // active: bytes behind the end that are neither zero nor another segment's
    Position file_end;
  };
  // Answers false to end the scan early.
  using Visitor = std::function<bool(const BatchHeader&, Position)>;
  using Done = std::function<void(Result<Found>)>;

  SegmentScan(Disk& disk, SlabPool& slabs, Plan plan, Visitor visit, Done done);
  void start();

 private:
  void on_io(IoResult result);
  void go_on();
  // Each of these answers whether there is something to do at once: otherwise an I/O was started,
  // whose completion goes on.
  bool read_window(Position from, std::size_t bytes_min, std::size_t bytes_wanted = window_bytes);
  bool walk();
  bool search();
  bool end_of_batches();
  bool resume_at(const FoundBatch& found);
  bool nothing_behind();
  bool close(Result<void> outcome);
  void begin_search();
  // Whether all below `behind` was durable, without a proof by its header.
  bool was_durable(const BatchHeader& behind) const;
  void note_damage(OffsetRange offsets);

  static constexpr std::size_t window_bytes = 1 * MiB;

  enum class Stage { idle, open, size, read, close } stage_ = Stage::idle;
  Disk& disk_;
  SlabPool& slabs_;
  Plan plan_;
  Visitor visit_;
  Done done_;
  Completion io_;
  FileId file_;
  Buffer slab_;
  ScanWindow window_;
  std::size_t window_wanted_ = 0;
  ScanExpectation expect_;
  Position at_;
  Found found_;
  Result<void> outcome_;
  // While looking for a batch behind a place that does not verify.
  bool searching_ = false;
  bool search_begun_ = false;
  bool is_bounded_ = false;    // the search ends before the file does
  bool gap_is_dirty_ = false;  // something lies between at_ and the end of its block
  Position search_at_, search_end_;
  Position durable_to_;  // so far reached what was durable when a batch that was seen was written
  std::optional<FoundBatch> first_behind_;
};

}  // namespace millrace
