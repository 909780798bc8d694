// Answers the requests about topics as such: create, list, describe, delete, metadata, and what one
// partition can be asked about its offsets: list offsets, trim.
//
// Owner: Shard. Thread: the shard's. Views in requests are copied before anything waits.
#pragma once

#include "broker/core.h"
#include "broker/fetch/where_lookups.h"
#include "broker/requests.h"
#include "broker/topics.h"

namespace millrace {

class TopicRequests {
 public:
  TopicRequests(const Core& core, Topics& topics, WhereLookups& lookups)
      : core_(core), topics_(topics), lookups_(lookups) {}

  void create(ClientHandle client, std::uint64_t request_id, const CreateTopicRequest& request);
  void list(ClientHandle client, std::uint64_t request_id);
  void describe(ClientHandle client, std::uint64_t request_id, const DescribeTopicRequest& request);
  void metadata(ClientHandle client, std::uint64_t request_id, const MetadataRequest& request);
  void remove(ClientHandle client, std::uint64_t request_id, const DeleteTopicRequest& request);

  void list_offsets(ClientHandle client, std::uint64_t request_id,
                    const ListOffsetsRequest& request);
  void trim(ClientHandle client, std::uint64_t request_id, const TrimTopicRequest& request);

 private:
  void answer_offset(ClientHandle client, std::uint64_t request_id, const Partition& partition,
                     const Result<Offset>& offset);

  const Core& core_;
  Topics& topics_;
  WhereLookups& lookups_;
};

}  // namespace millrace
