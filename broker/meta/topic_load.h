// Staged operation: reads what one topic directory says of itself.
//
// Both copies of topic.meta are read, the newest valid one wins and a damaged other one is written
// again. When neither verifies, name and identity come from a segment header, the number of
// partitions from the directories, and the settings are the defaults: unreadable metadata never
// costs an event (ST-08).
//
// Owner: CatalogStore. Thread: the shard's. `done` is called once, from a later turn.
#pragma once

#include "broker/meta/topic_meta.h"
#include "storage/base/result.h"
#include "storage/io/disk.h"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace millrace {

struct LoadedTopic {
  TopicMeta meta;
  // Partitions below meta.partitions whose directory is not there. Their absence is a fault, not an
  // empty log.
  std::vector<PartitionIndex> missing;
  bool rebuilt = false;  // from segment headers
};

class TopicLoad {
 public:
  // Errors: corrupt when nothing in the directory says which topic it is; the disk's.
  using Done = std::function<void(TopicLoad& self, Result<LoadedTopic>)>;

  TopicLoad(Disk& disk, const ClusterId& cluster_id, const TopicId& id, Done done);
  void start();
  const TopicId& id() const { return id_; }

 private:
  enum class Stage {
    idle,
    list_topic,
    open_copy,
    size_copy,
    read_copy,
    close_copy,
    list_partition,
    open_segment,
    read_segment,
    close_segment,
    remove_damaged,
    open_repair,
    write_repair,
    close_repair,
    sync_repair,
  };

  void step(IoResult io);
  void note_directories();
  void on_copy_opened(const IoResult& io);
  void on_copy_sized(const IoResult& io);
  void on_copy_read(const IoResult& io);
  void close(Stage stage);
  void next_copy();
  void choose();
  void next_partition();
  void next_segment();
  void on_segment_read(const IoResult& io);
  void adopt_header();
  void repair();
  void finish();

  Disk& disk_;
  const ClusterId cluster_id_;
  const TopicId id_;
  Done done_;
  const std::string directory_;
  Stage stage_ = Stage::idle;
  std::vector<DirectoryEntry> entries_;
  std::vector<PartitionIndex> partitions_;
  std::size_t copy_ = 0;
  std::optional<TopicMeta> copies_[2];
  bool copy_damaged_[2] = {false, false};  // by its content or absence; not: could not be read now
  std::string copy_fault_[2];
  std::size_t at_partition_ = 0;
  std::vector<std::string> segments_;
  FileId file_;
  std::vector<std::byte> bytes_;
  LoadedTopic loaded_;
  Completion io_;
};

}  // namespace millrace
