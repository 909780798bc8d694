// What the parts of one shard share: references only, handed to each part when it is made.
// Everything here outlives topics, partitions, fetches and subscriptions.
#pragma once

#include "broker/shard.h"

namespace millrace {

class CacheBudget;
class Clients;
class Feeder;
class SegmentPool;
class FlushList;

struct Core {
  const ShardEnvironment& environment;
  const BrokerOptions& options;
  SegmentPool& segment_pool;
  CacheBudget& cache_budget;
  Clients& clients;
  Feeder& feeder;
  FlushList& flush_list;
};

}  // namespace millrace
