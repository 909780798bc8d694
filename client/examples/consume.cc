// Prints a topic from its start to its end as it stands now: consume TOPIC [ENDPOINT]
//
// Leave the end out of open() to follow: history runs into live without a seam.
#include "arguments.h"

#include <millrace/millrace.h>

#include <chrono>
#include <iostream>

int main(int argc, char** argv) {
  const Arguments arguments = parse_arguments(argc, argv, "consume TOPIC [ENDPOINT]");
  auto client = millrace::Client::connect(arguments.options);
  if (!client) {
    std::cerr << client.error().to_string() << '\n';
    return 1;
  }
  auto reader = millrace::Reader::open(*client, arguments.topic, millrace::Place::from_start(),
                                       millrace::Place::from_end());
  if (!reader) {
    std::cerr << reader.error().to_string() << '\n';
    return 1;
  }

  while (!reader->finished()) {
    const auto batch = reader->next(std::chrono::seconds(10));
    if (!batch) {
      // Damage and removed events are named once; the next call goes on behind them.
      std::cerr << batch.error().to_string() << '\n';
      if (batch.error().range_end == 0) return 1;
      continue;
    }
    // The views point into the received batch and live until the next call.
    for (const auto& event : batch->events)
      std::cout << event.partition << ':' << event.offset << ' '
                << millrace::format_time(event.time_ns) << ' ' << event.key << ' ' << event.payload
                << '\n';
  }
  return 0;
}
