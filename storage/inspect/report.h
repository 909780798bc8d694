// What an offline look at a data directory found.
//
// Plain values. A fault is something that a broker would have to report, refuse or rebuild; a note
// is what is in order after an unclean stop, or only worth knowing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace millrace::inspect {

struct Finding {
  std::string file;                       // relative to the data directory
  std::optional<std::uint64_t> position;  // bytes in that file
  // The offsets that are damaged or missing, [begin, end).
  std::optional<std::uint64_t> begin_offset, end_offset;
  std::string text;
};

struct SegmentReport {
  std::string file;
  std::uint64_t base_offset = 0, end_offset = 0;
  std::uint64_t used_bytes = 0;  // up to the end of the last batch
  std::uint64_t file_bytes = 0;  // preallocation counted
  std::uint64_t batches = 0;     // 0 where the segment was not walked
  std::uint64_t events = 0;
  std::int64_t created_ns = 0;
  std::int64_t last_append_ns = 0;
  bool has_index = false;
};

struct PartitionReport {
  std::uint32_t partition = 0;
  std::uint64_t start_offset = 0, end_offset = 0;
  bool closed_cleanly = false;
  std::vector<SegmentReport> segments;
};

struct TopicReport {
  std::string name;
  std::string id;  // 32 hex digits
  std::uint32_t partitions = 0;
  std::int64_t created_ns = 0;
  std::vector<std::string> settings;
  std::vector<PartitionReport> partition_reports;
};

struct DirectoryReport {
  std::string path;
  std::string cluster_id;
  std::int64_t created_ns = 0;
  std::vector<TopicReport> topics;
  std::vector<Finding> faults;
  std::vector<Finding> notes;
};

}  // namespace millrace::inspect
