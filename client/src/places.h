// Places become offsets: one ListOffsets request per place, all at once on their way.
#pragma once

#include "topic.h"

#include <vector>

namespace millrace::detail {

struct PlaceQuestion {
  std::uint32_t partition = 0;
  Place place;
};

struct PlaceAnswer {
  std::uint64_t offset = 0, start_offset = 0, end_offset = 0;
};

// Answers in the order of the questions; the first error stands for all.
Outcome<std::vector<PlaceAnswer>> resolve_places(Connection& connection, const TopicKey& topic,
                                                 const std::vector<PlaceQuestion>& questions);

}  // namespace millrace::detail
