// Staged operation: from a directory of files to a log that can be appended to and read.
//
//   list → checkpoint → headers of all segments → chain and holes → finish a cut-short removal
//        → scan from the checkpoint (at most the active tail) → cut a torn tail → open for writing
//
// It writes nothing before it has read what decides; each of its own steps may be cut short by a
// crash and be run again. Owner: Log; the answer is its last act, and may destroy it. Thread: the
// shard's.
#pragma once

#include "storage/checkpoint.h"
#include "storage/log.h"
#include "storage/log_state.h"
#include "storage/segment.h"
#include "storage/segment_headers.h"
#include "storage/segment_removal.h"
#include "storage/segment_scan.h"
#include "storage/segment_writer.h"
#include "storage/tail_cut.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace millrace {

struct RecoveredLog {
  LogState state;                // the last segment may be active
  FileId active_file;            // open for writing, if the last is active
  SegmentWriter::Resume resume;  // of the active segment
};

class Recovery {
 public:
  using Done = std::function<void(Result<RecoveredLog>)>;

  Recovery(LogEnvironment environment, const LogIdentity& identity, const LogOptions& options,
           CheckpointFile& checkpoint, Done done);
  void start();

 private:
  void step(IoResult io);
  void on_listed();
  void read_headers();
  void on_headers();
  void find_holes();
  void drop_leftovers();
  void plan_scans();
  void next_scan();
  void on_scanned(SegmentScan::Found found);
  void on_scans_done();
  void open_newest();
  void on_synced();
  void cut_tail();
  void leave_as_it_is();
  void refused_unsynced(const Error& why);
  void finish(Result<void> outcome);
  void refuse(std::string reason);
  bool nothing_new_since_close() const;
  std::string path_of(std::string_view name) const;

  enum class Stage {
    idle,
    make_directory,
    list,
    sync_parent,
    sync_names,
    open_active,
    sync_active,
    close_left,
    close_failed
  } stage_ = Stage::idle;
  LogEnvironment environment_;
  const LogIdentity& identity_;
  const LogOptions& options_;
  CheckpointFile& checkpoint_file_;
  Done done_;
  Completion io_;
  std::vector<DirectoryEntry> entries_;
  std::vector<Offset> bases_;
  std::optional<Checkpoint> checkpoint_;
  Error error_;
  bool place_is_wrong_ = false;  // the checkpoint names a place in the active segment that is none
  RecoveredLog recovered_;
  LogState& log_ = recovered_.state;
  std::unique_ptr<SegmentHeaders> headers_;
  std::unique_ptr<SegmentRemoval> removal_;
  std::unique_ptr<SegmentScan> scan_;
  std::size_t at_scan_ = 0;
  SegmentScan::Found last_found_;
  Position tail_;  // end of the last whole batch of the active segment
  TailCut tail_cut_;
};

}  // namespace millrace
