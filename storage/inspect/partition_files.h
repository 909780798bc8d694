// The files of one partition's log as they lie in a data directory: for a repair, which has to know
// what is there and what is not.
#pragma once

#include "storage/base/ids.h"
#include "storage/base/result.h"
#include "storage/format/checkpoint_layout.h"
#include "storage/format/segment_layout.h"
#include "storage/inspect/file_writer.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace millrace::inspect {

struct SegmentOnDisk {
  std::string file;  // relative to the data directory
  Offset base;
  std::optional<SegmentHeader> header;  // unset: it does not verify
};

struct PartitionFiles {
  explicit PartitionFiles(DirectoryLock held) : lock(std::move(held)) {}

  DirectoryLock lock;     // nobody changes them meanwhile
  std::string root;       // the data directory
  std::string directory;  // of the partition, relative to it
  ClusterId cluster_id;
  TopicId topic_id;
  std::string topic_name;
  PartitionIndex partition = 0;
  std::vector<SegmentOnDisk> segments;   // by base offset
  std::optional<Checkpoint> checkpoint;  // the newest that verifies
  std::size_t checkpoint_slot = 1;       // where it stands

  std::string full(const std::string& file) const { return root + "/" + file; }
  // Where the log starts and how far it is known to be durable, by the checkpoint or the files.
  Offset start() const;
  Offset known_end() const;
};

// `topic`: its name, or its id in hex. Errors: data_dir_in_use while a broker runs; not_found for
// the directory, the topic or the partition; corrupt for an identity that does not verify or a
// segment of another log; storage_error.
Result<PartitionFiles> find_partition_files(const std::string& data_directory,
                                            const std::string& topic, PartitionIndex partition);

// How many events can be read in a segment, and where its batches end. `end`: see WalkPlan.
struct ReadableEnd {
  std::uint64_t events = 0;  // in batches that begin at or after `from`
  Offset end;
};
Result<ReadableEnd> walk_events(const PartitionFiles& files, const SegmentOnDisk& segment,
                                Offset from, std::optional<Offset> end);

}  // namespace millrace::inspect
