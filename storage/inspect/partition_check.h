// Checks the files of one log: checkpoint, segments, their chain, their indexes.
#pragma once

#include "storage/format/checkpoint_layout.h"
#include "storage/format/index_layout.h"
#include "storage/format/segment_layout.h"
#include "storage/inspect/inspection.h"
#include "storage/inspect/segment_walk.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace millrace::inspect {

struct LogOwner {
  ClusterId cluster_id;
  TopicId topic_id;
  PartitionIndex partition = 0;
};

class PartitionCheck {
 public:
  // `directory` relative to the data directory.
  PartitionCheck(Inspection& inspection, LogOwner owner, std::string directory);
  PartitionReport run();

 private:
  struct Entry {
    std::string file;
    Offset base;
    std::optional<SegmentHeader> header;  // unset: it does not verify
    bool is_foreign = false;              // somebody else's file under a name of this log
    std::uint64_t file_bytes = 0;
    std::optional<IndexFile> index;
    std::optional<WalkResult> walked;
  };

  void list();
  void read_checkpoint();
  void read_header(Entry& entry);
  void read_index(Entry& entry);
  void check_start();
  void check_link(const Entry& before, const Entry& after);
  void check_segment(std::size_t at);
  void check_end(const Entry& last);
  void walk(Entry& entry, std::optional<Offset> end_offset);
  void note_index_end(const IndexFile& index, const std::string& file, Offset segment_end);
  SegmentReport report_of(std::size_t at) const;

  Inspection& inspection_;
  LogOwner owner_;
  std::string directory_;
  std::optional<Checkpoint> checkpoint_;
  std::vector<Entry> segments_;  // by base offset
  std::vector<Offset> index_bases_;
};

}  // namespace millrace::inspect
