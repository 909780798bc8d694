// Follows the live feed of a topic from now on: tail TOPIC [COUNT] [ENDPOINT]
//
// The feed may drop for a slow reader; LiveReader notices and fetches what is missing, so offsets
// rise without a hole.
#include <millrace/millrace.h>

#include <chrono>
#include <cstdlib>
#include <iostream>

int main(int argc, char** argv) {
  if (argc < 2) {
    std::cerr << "usage: tail TOPIC [COUNT] [ENDPOINT]\n";
    return 2;
  }
  millrace::ClientOptions options;
  if (argc > 3) options.endpoint = argv[3];
  auto client = millrace::Client::connect(options);
  if (!client) {
    std::cerr << client.error().to_string() << '\n';
    return 1;
  }
  auto reader = millrace::LiveReader::open(*client, argv[1]);
  if (!reader) {
    std::cerr << reader.error().to_string() << '\n';
    return 1;
  }

  long left = argc > 2 ? std::atol(argv[2]) : -1;
  while (left != 0) {
    const auto batch = reader->next(std::chrono::seconds(1));
    if (!batch) {
      std::cerr << batch.error().to_string() << '\n';
      if (!batch.error().can_retry && batch.error().range_end == 0) return 1;
      continue;
    }
    for (const auto& event : batch->events) {
      std::cout << event.partition << ':' << event.offset << ' ' << event.payload << std::endl;
      if (--left == 0) break;
    }
    for (const auto& gap : reader->take_gaps())
      std::cerr << "partition " << gap.partition << ": the feed dropped [" << gap.begin << ", "
                << gap.end << ")" << (gap.repaired ? ", repaired" : ", lost to retention") << '\n';
  }
  return 0;
}
