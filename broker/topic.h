// One topic: what it is called, how it is set, its partitions, and where it stands between creation
// and deletion.
//
// Owner: Catalog. Thread: the shard's.
#pragma once

#include "broker/meta/topic_meta.h"
#include "broker/meta/topic_settings.h"
#include "broker/partition.h"

#include <functional>
#include <memory>
#include <vector>

namespace millrace {

struct Topic {
  enum class Life {
    creating,  // on its way to the disk, or its logs being opened for the first time
    open,
    deleting,  // being closed, then removed
    failed,    // what its deletion did is not known to be durable; may be deleted again
  };

  TopicMeta meta;
  TopicSettings settings;
  Life life = Life::creating;
  Error fault;  // of a failed one
  std::vector<std::unique_ptr<Partition>> partitions;
  // What came for this name while it was in between; called once it is not.
  std::vector<std::function<void()>> when_settled;

  std::uint64_t bytes() const;
  // End minus start, of all partitions.
  std::uint64_t events() const;
  TopicInfoReply info() const;  // without the partitions
};

}  // namespace millrace
