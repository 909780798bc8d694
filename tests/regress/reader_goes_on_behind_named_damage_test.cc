// The broker names a damaged range once and ends the subscription; the reader waited for it to go
// on by itself, for ever.
#include "millrace/embedded.h"
#include "millrace/millrace.h"
#include "tests/support/patience.h"
#include "tests/support/temp_dir.h"

#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;

namespace {

EmbeddedBroker start(const std::string& data_dir) {
  EmbeddedBrokerOptions options;
  options.data_dir = data_dir;
  auto broker = EmbeddedBroker::start(options);
  REQUIRE(broker.has_value());
  return std::move(*broker);
}

Client connect(const EmbeddedBroker& broker) {
  auto client = Client::connect(broker.client_options());
  REQUIRE(client.has_value());
  return std::move(*client);
}

// Each event in a batch and a commit of its own.
void produce(const Client& client, const std::vector<std::string>& payloads) {
  REQUIRE(Admin(client).create_topic("orders").has_value());
  auto producer = Producer::open(client, "orders");
  REQUIRE(producer.has_value());
  for (const std::string& payload : payloads) {
    Event event;
    event.payload = payload;
    REQUIRE(producer->send(event).has_value());
    REQUIRE(producer->flush().has_value());
  }
}

void flip_a_byte_of(const std::string& data_dir, const std::string& payload) {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(data_dir)) {
    if (entry.path().extension() != ".segment") continue;
    std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
    std::string bytes{std::istreambuf_iterator<char>(file), {}};
    const auto at = bytes.find(payload);
    if (at == std::string::npos) continue;
    file.clear();
    file.seekp(static_cast<std::streamoff>(at));
    file.put(static_cast<char>(bytes[at] ^ 4));
    REQUIRE(file.good());
    return;
  }
  FAIL("no segment holds " << payload);
}

}  // namespace

TEST_CASE("G7 a reader is told of a damaged range once and goes on behind it to the end") {
  const test::TempDir directory;
  const std::string data_dir = directory.path() + "/data";
  {
    EmbeddedBroker broker = start(data_dir);
    produce(connect(broker), {"first event", "second event", "third event"});
    REQUIRE(broker.stop().has_value());
  }
  flip_a_byte_of(data_dir, "second event");
  EmbeddedBroker broker = start(data_dir);
  const Client client = connect(broker);
  auto reader = Reader::open(client, "orders", Place::from_start(), Place::from_end());
  REQUIRE(reader.has_value());

  std::vector<std::string> seen;
  int damaged = 0;
  while (!reader->finished()) {
    const auto batch = reader->next(test::patience);
    if (!batch) {
      CHECK(batch.error().name == "corrupt");
      CHECK(batch.error().range_begin == 1);
      CHECK(batch.error().range_end == 2);
      REQUIRE(++damaged == 1);
      continue;
    }
    REQUIRE_FALSE(batch->events.empty());  // it stands still
    for (const EventView& event : batch->events) seen.emplace_back(event.payload);
  }
  CHECK(damaged == 1);
  CHECK(seen == std::vector<std::string>{"first event", "third event"});
}
