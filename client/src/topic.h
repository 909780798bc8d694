// What a client needs to know of a topic before it produces to or reads from it.
#pragma once

#include "connection.h"

namespace millrace::detail {

struct Topic {
  TopicKey key;
  std::uint32_t partitions = 0;
  std::uint32_t batch_bytes_max = 0;
};

// One round trip. Errors: the broker's; bad_request when the answer makes no sense.
Outcome<Topic> fetch_topic(Connection& connection, const std::string& name);

}  // namespace millrace::detail
