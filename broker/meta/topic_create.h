// Staged operation: makes a topic's directory. The order is the durability argument: everything
// inside is durable under a name that is not a topic's, then one rename makes it a topic, then the
// name is made durable. So a crash leaves the whole topic or none (ST-27).
//
// Owner: CatalogStore. Thread: the shard's. `done` is called once, from a later turn.
#pragma once

#include "broker/meta/topic_meta.h"
#include "storage/base/result.h"
#include "storage/io/disk.h"

#include <functional>
#include <string>
#include <vector>

namespace millrace {

class TopicCreate {
 public:
  using Done = std::function<void(TopicCreate& self, Result<void>)>;

  TopicCreate(Disk& disk, const TopicMeta& meta, Done done);
  void start();
  const TopicId& id() const { return meta_.id; }

 private:
  enum class Stage {
    idle,
    make_directory,
    make_partition,
    open_meta,
    write_meta,
    close_meta,
    sync_inside,
    rename,
    sync_names,
    close_failed,
  };

  void step(IoResult io);
  void next_partition();
  void next_copy();
  void fail_with(const Error& error);
  void finish(Result<void> result);

  Disk& disk_;
  const TopicMeta meta_;
  Done done_;
  const std::string building_;
  const std::vector<std::byte> bytes_;
  Stage stage_ = Stage::idle;
  PartitionIndex partition_ = 0;
  std::size_t copy_ = 0;
  FileId file_;
  Error error_;
  Completion io_;
};

}  // namespace millrace
