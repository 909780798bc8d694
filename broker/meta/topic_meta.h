// What a topic directory says of itself: the content of topic.meta (schemas/catalog.fbs), as a
// plain struct.
#pragma once

#include "storage/base/ids.h"
#include "storage/base/units.h"

#include <cstdint>
#include <string>
#include <vector>

namespace millrace {

struct TopicMeta {
  TopicId id;
  std::string name;
  std::uint32_t partitions = 1;
  WallTime created;
  std::uint64_t generation = 1;  // of two copies the newer valid one counts
  std::vector<std::string>
      settings;  // as given, "key=value", by key; all others are the broker's defaults

  friend bool operator==(const TopicMeta&, const TopicMeta&) = default;
};

}  // namespace millrace
