// Sends each line of standard input as one event: produce TOPIC [ENDPOINT]
//
// send() copies the event and returns at once; batches form by themselves while others are on their
// way. flush() says whether all of them are on the broker's disk.
#include "arguments.h"

#include <millrace/millrace.h>

#include <iostream>
#include <string>

int main(int argc, char** argv) {
  const Arguments arguments = parse_arguments(argc, argv, "produce TOPIC [ENDPOINT] < lines");
  auto client = millrace::Client::connect(arguments.options);
  if (!client) {
    std::cerr << client.error().to_string() << '\n';
    return 1;
  }
  auto producer = millrace::Producer::open(*client, arguments.topic);
  if (!producer) {
    std::cerr << producer.error().to_string() << '\n';
    return 1;
  }

  std::string line;
  while (std::getline(std::cin, line)) {
    millrace::Event event;
    event.payload = line;
    if (auto sent = producer->send(event); !sent) {
      std::cerr << sent.error().to_string() << '\n';
      break;
    }
  }

  const auto unacked = producer->close();
  for (const auto& row : unacked)
    std::cerr << "partition " << row.partition << ": " << row.event_count
              << " not acked: " << row.error.to_string() << '\n';
  for (const auto& row : producer->tally())
    std::cout << "partition " << row.partition << ": " << row.events
              << (row.events == 1 ? " event\n" : " events\n");
  return unacked.empty() ? 0 : 1;
}
