// The active segment of a log: turns appended batches into durable bytes.
//
// Trip: called by Log::append and Log::flush; calls Disk. Nobody else knows it exists.
// Owner: Log; at most two live at once, the older one finishing while the newer already stages.
// Thread: the shard's. Numbers: offsets count events, positions count bytes of this file, every end
// is exclusive. Always: durable_end() <= staged_end(); durable_position() is a multiple of
// commit_alignment; neither moves back. I/O: one write in flight, synced by itself; batches staged
// meanwhile leave in the next write. So when a commit is submitted every byte before it is durable,
// and each batch says so (durable_position in its header): recovery needs it to tell a torn tail
// from damage. A separate write and sync in one ring would not be ordered; a short write is
// continued by the Disk or fails, and is never acked. Fails: after the first failed write the
// writer takes no more batches and starts no more I/O; the bytes past durable_position() are then
// unknown.
#pragma once

#include "storage/base/ids.h"
#include "storage/base/result.h"
#include "storage/format/batch.h"
#include "storage/format/segment_layout.h"
#include "storage/io/disk.h"
#include "storage/log_options.h"
#include "storage/tail_cache.h"

#include <cstdint>
#include <functional>

namespace millrace {

class SegmentWriter {
 public:
  // Where a writer goes on in a recovered segment; the defaults are a new one.
  struct Resume {
    Position position = segment_layout::first_batch_position;
    Offset end;
    std::uint32_t last_crc = 0;
    std::uint64_t file_bytes = 0;
  };
  // Called from reap when a write ended: either ok, with durable_end() moved, or the error.
  using OnCommit = std::function<void(Result<void>)>;

  SegmentWriter(Disk& disk, TailCache& cache, SegmentHeader header, Resume resume,
                const LogOptions& options, OnCommit on_commit);
  SegmentWriter(const SegmentWriter&) = delete;
  SegmentWriter& operator=(const SegmentWriter&) = delete;

  // The file is there, its header is durable, `file_bytes` are allocated: writes may begin.
  void attach(FileId file, std::uint64_t file_bytes);
  bool attached() const { return file_.is_open(); }

  // Whether `bytes` more would keep the segment within its size.
  bool has_room(std::size_t bytes) const;
  // Copies one batch into the cache and stamps it. Errors: overloaded (no memory).
  Result<BatchHeader> stage(const BatchView& batch, LeaderEpoch epoch, WallTime append_time);
  // Writes what is staged, unless a write is in flight, nothing is staged or no file is attached.
  void flush();

  // No batch comes any more: a successor is staging. Call before the successor is made.
  void finish();

  bool idle() const { return !write_.in_flight() && !preallocate_.in_flight(); }
  bool all_durable() const { return durable_end_ == staged_end_; }
  bool writing() const { return write_.in_flight(); }
  const SegmentHeader& header() const { return header_; }
  Offset durable_end() const { return durable_end_; }
  Offset staged_end() const { return staged_end_; }
  Position durable_position() const { return durable_position_; }
  Position staged_position() const { return staged_position_; }
  std::uint32_t last_crc() const { return last_crc_; }
  std::uint32_t durable_crc() const { return durable_crc_; }
  std::uint64_t staged_bytes() const { return staged_position_ - durable_position_; }
  FileId file() const { return file_; }

 private:
  // The end of a commit: everything staged so far, or what was staged when the commit grew to its
  // limit.
  struct Mark {
    Position position;
    Offset end;
    std::uint32_t crc;
  };
  void on_written(IoResult result);
  void on_preallocated(IoResult result);
  void tell(Result<void> outcome);
  void pad_to_commit();
  void preallocate_ahead();

  Disk& disk_;
  TailCache& cache_;
  const SegmentHeader header_;
  const std::uint64_t segment_bytes_;
  const std::uint64_t preallocate_bytes_max_;
  OnCommit on_commit_;
  Completion write_;
  Completion preallocate_;
  FileId file_;
  bool failed_ = false;
  std::uint64_t file_bytes_ = 0;     // allocated
  std::uint64_t preallocate_bytes_;  // the next step
  Position staged_position_;         // where the next batch goes
  Position commit_position_;         // where the commit that is being staged begins
  Position written_position_;        // end of the write in flight
  Position durable_position_;
  Offset staged_end_, durable_end_;
  std::uint32_t last_crc_ = 0, durable_crc_ = 0;
  std::vector<Mark> marks_;  // commits that are staged in full, oldest first; the rest is one more
  Mark in_flight_{};
};

}  // namespace millrace
