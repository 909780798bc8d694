// A segment that a broker was restarted within gets a partial index when it is sealed, as the
// format says. The offline check called that a fault, so that every directory looked damaged some
// time after a restart.
#include "millrace/embedded.h"
#include "millrace/millrace.h"
#include "storage/inspect/directory_check.h"
#include "tests/support/temp_dir.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <string>

using namespace millrace;

namespace {

EmbeddedBroker start(const std::string& data_dir) {
  EmbeddedBrokerOptions options;
  options.data_dir = data_dir;
  // It would read the segment, and have its whole index before it is sealed.
  options.settings = {"disk.scrub_bytes_per_second=0"};
  auto broker = EmbeddedBroker::start(options);
  REQUIRE(broker.has_value());
  return std::move(*broker);
}

void produce(const EmbeddedBroker& broker, int count) {
  auto client = Client::connect(broker.client_options());
  REQUIRE(client.has_value());
  static_cast<void>(Admin(*client).create_topic(
      "orders", 1, {{"segment_bytes", "64 KiB"}, {"batch_bytes_max", "64 KiB"}}));
  auto producer = Producer::open(*client, "orders");
  REQUIRE(producer.has_value());
  const std::string payload(8'000, 'x');
  for (int i = 0; i < count; ++i) {
    Event event;
    event.payload = payload;
    REQUIRE(producer->send(event).has_value());
    REQUIRE(producer->flush().has_value());
  }
}

}  // namespace

TEST_CASE("a segment sealed after a restart within it is no fault to the offline check") {
  const test::TempDir directory;
  const std::string data_dir = directory.path() + "/data";
  for (const int events : {2, 20}) {
    EmbeddedBroker broker = start(data_dir);
    produce(broker, events);
    REQUIRE(broker.stop().has_value());
  }
  const auto report = inspect::inspect_directory(data_dir, inspect::Depth::verify);
  REQUIRE(report.has_value());
  for (const inspect::Finding& fault : report->faults)
    UNSCOPED_INFO(fault.file << ": " << fault.text);
  CHECK(report->faults.empty());
  // It is worth knowing, though: the first lookup in it reads the segment.
  CHECK(std::any_of(report->notes.begin(), report->notes.end(), [](const inspect::Finding& note) {
    return note.text.find("partial index") != std::string::npos;
  }));
}
