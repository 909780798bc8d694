// A test with a whole broker inside the process: on no port, in a temporary directory, started in
// milliseconds.
#include <millrace/embedded.h>
#include <millrace/millrace.h>

#include <chrono>
#include <iostream>
#include <string>

namespace {

template <class T>
T must(millrace::Outcome<T> outcome) {
  if (!outcome) {
    std::cerr << outcome.error().to_string() << '\n';
    std::exit(1);
  }
  return std::move(*outcome);
}

}  // namespace

int main() {
  const auto begin = std::chrono::steady_clock::now();
  auto broker = must(millrace::EmbeddedBroker::start());
  const auto started = std::chrono::steady_clock::now() - begin;
  std::cout << "started in "
            << std::chrono::duration_cast<std::chrono::milliseconds>(started).count() << " ms\n";

  auto client = must(millrace::Client::connect(broker.client_options()));
  must(millrace::Admin(client).create_topic("orders", 2));

  auto producer = must(millrace::Producer::open(client, "orders"));
  for (int i = 0; i < 1000; ++i) {
    const std::string payload = "order " + std::to_string(i);
    millrace::Event event;
    event.key = "customer";  // one key: one partition, one order
    event.payload = payload;
    must(producer.send(event));
  }
  if (!producer.close().empty()) return 1;

  auto reader = must(millrace::Reader::open(client, "orders", millrace::Place::from_start(),
                                            millrace::Place::from_end()));
  int next = 0;
  while (!reader.finished()) {
    const auto batch = must(reader.next(std::chrono::seconds(10)));
    for (const auto& event : batch.events) {
      if (event.payload != "order " + std::to_string(next++)) return 1;
    }
  }
  std::cout << next << " events read back in order\n";
  return next == 1000 ? 0 : 1;
}
