// Follows the live feed of a topic from now on: tail TOPIC [ENDPOINT [COUNT]]
//
// The feed may drop for a slow reader; LiveReader notices and fetches what is missing, so offsets
// rise without a hole.
#include "arguments.h"

#include <millrace/millrace.h>

#include <chrono>
#include <iostream>

int main(int argc, char** argv) {
  const Arguments arguments = parse_arguments(argc, argv, "tail TOPIC [ENDPOINT [COUNT]]", 3);
  auto client = millrace::Client::connect(arguments.options);
  if (!client) {
    std::cerr << client.error().to_string() << '\n';
    return 1;
  }
  auto reader = millrace::LiveReader::open(*client, arguments.topic);
  if (!reader) {
    std::cerr << reader.error().to_string() << '\n';
    return 1;
  }

  std::uint64_t seen = 0;
  while (arguments.count == 0 || seen < arguments.count) {
    const auto batch = reader->next(std::chrono::seconds(1));
    if (!batch) {
      std::cerr << batch.error().to_string() << '\n';
      if (!batch.error().can_retry && batch.error().range_end == 0) return 1;
      continue;
    }
    for (const auto& event : batch->events) {
      std::cout << event.partition << ':' << event.offset << ' ' << event.payload << std::endl;
      if (++seen == arguments.count) break;
    }
    for (const auto& gap : reader->take_gaps())
      std::cerr << "partition " << gap.partition << ": the feed dropped [" << gap.begin << ", "
                << gap.end << ")" << (gap.repaired ? ", repaired" : ", lost to retention") << '\n';
  }
  return 0;
}
