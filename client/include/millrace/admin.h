// Topics: create, list, describe, delete, trim; offsets by place.
#pragma once

#include "millrace/client.h"
#include "millrace/where.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace millrace {

struct TopicSummary {
  std::string name;
  std::string id;  // 32 hex digits
  std::uint32_t partitions = 0;
  std::uint64_t bytes = 0;  // on disk
  std::uint64_t events = 0;
};

struct PartitionDescription {
  std::uint32_t partition = 0;
  std::uint64_t start_offset = 0, end_offset = 0;
  std::uint64_t bytes = 0;
  std::uint32_t segments = 0;
  std::string state;                     // "ok", or what is wrong
  std::int64_t last_append_time_ns = 0;  // 0: never
  std::uint64_t corrupt_events = 0;
};

struct TopicDescription {
  std::string name, id;
  std::uint32_t partitions = 0;
  std::int64_t created_ns = 0;
  std::map<std::string, std::string> settings;  // all in force
  std::uint32_t batch_bytes_max = 0;
  std::vector<PartitionDescription> partition_descriptions;
};

struct OffsetBounds {
  std::uint64_t offset = 0;  // the answer to the place asked
  std::uint64_t start_offset = 0, end_offset = 0;
};

class Admin {
 public:
  explicit Admin(const Client& client);

  // Settings: docs/operations.md, "Topic settings". Errors: topic_exists, bad_topic_name,
  // bad_setting.
  Outcome<TopicDescription> create_topic(const std::string& name, std::uint32_t partitions = 1,
                                         const std::map<std::string, std::string>& settings = {});
  Outcome<std::vector<TopicSummary>> list_topics();
  Outcome<TopicDescription> describe_topic(const std::string& name);
  Outcome<void> delete_topic(const std::string& name);
  Outcome<OffsetBounds> offsets(const std::string& topic, std::uint32_t partition, Place place);
  // Removes what lies before `place`; answers the new bounds.
  Outcome<OffsetBounds> trim_topic(const std::string& topic, std::uint32_t partition, Place before);

 private:
  Client client_;
};

}  // namespace millrace
