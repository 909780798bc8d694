// The client against the real broker, in this process.
#include "millrace/embedded.h"
#include "millrace/millrace.h"
#include "tests/support/patience.h"
#include "tests/support/temp_dir.h"

#include <catch2/catch.hpp>

#include <map>
#include <set>
#include <string>

using namespace millrace;
using namespace std::chrono_literals;

namespace {

template <class T>
T must(Outcome<T> outcome) {
  INFO((outcome ? std::string() : outcome.error().to_string()));
  REQUIRE(outcome.has_value());
  return std::move(*outcome);
}
void must(const Outcome<void>& outcome) {
  INFO((outcome ? std::string() : outcome.error().to_string()));
  REQUIRE(outcome.has_value());
}

enum class Over { inproc, tcp };

struct Fixture {
  explicit Fixture(Over over = Over::inproc, std::string data_dir = {})
      : broker(must(EmbeddedBroker::start(options(over, std::move(data_dir))))),
        client(connect()) {}
  static EmbeddedBrokerOptions options(Over over, std::string data_dir) {
    EmbeddedBrokerOptions out;
    out.data_dir = std::move(data_dir);
    if (over == Over::tcp) out.listen = out.live = "tcp://127.0.0.1:0";
    return out;
  }
  Client connect() const {
    ClientOptions out = broker.client_options();
    out.timeout = test::patience;
    return must(Client::connect(out));
  }
  EmbeddedBroker broker;
  Client client;
};

Event event_of(std::string_view key, std::string_view payload) {
  Event event;
  event.key = key;
  event.payload = payload;
  return event;
}

void produce(const Client& client, const std::string& topic, int begin, int end,
             ProducerOptions options = {}) {
  Producer producer = must(Producer::open(client, topic, options));
  for (int i = begin; i < end; ++i) {
    const std::string text = std::to_string(i);
    must(producer.send(event_of({}, text)));
  }
  CHECK(producer.close().empty());
}

// Number → how often it was read; also checks that offsets rise by one per partition.
std::map<int, int> read_numbers(Reader& reader) {
  std::map<int, int> seen;
  std::map<std::uint32_t, std::uint64_t> next;
  while (!reader.finished()) {
    const EventBatch batch = must(reader.next(test::patience));
    for (const EventView& event : batch.events) {
      if (const auto at = next.find(event.partition); at != next.end())
        CHECK(at->second == event.offset);
      next[event.partition] = event.offset + 1;
      ++seen[std::stoi(std::string(event.payload))];
    }
  }
  return seen;
}

void check_once(const std::map<int, int>& seen, int count) {
  CHECK(seen.size() == static_cast<std::size_t>(count));
  for (const auto& [number, times] : seen) {
    if (times != 1) FAIL_CHECK(number << " was read " << times << " times");
  }
}

}  // namespace

TEST_CASE("embedded: what is produced is read back, over inproc and tcp") {
  for (const Over over : {Over::inproc, Over::tcp}) {
    Fixture f(over);
    const auto topic = must(Admin(f.client).create_topic("orders", 4));
    CHECK(topic.partitions == 4);
    CHECK(topic.id.size() == 32);
    produce(f.client, "orders", 0, 10'000);
    Reader reader = must(Reader::open(f.client, "orders", Place::from_start(), Place::from_end()));
    check_once(read_numbers(reader), 10'000);
  }
}

TEST_CASE("embedded: a broker at an IPv6 address is reached, its live feed too") {
  EmbeddedBrokerOptions options;
  options.listen = options.live = "tcp://[::1]:0";
  options.settings = {"listen.ipv6=true"};
  auto broker = EmbeddedBroker::start(options);
  if (!broker && broker.error().text.find("cannot listen on") != std::string::npos) {
    WARN("this machine has no IPv6: " << broker.error().to_string());
    return;
  }
  const EmbeddedBroker running = must(std::move(broker));
  ClientOptions to_it = running.client_options();
  to_it.timeout = 20s;
  const Client client = must(Client::connect(to_it));
  must(Admin(client).create_topic("orders"));
  LiveReader live = must(LiveReader::open(client, "orders"));
  produce(client, "orders", 0, 3);
  int seen = 0;
  while (seen < 3) seen += static_cast<int>(must(live.next(test::patience)).events.size());
  CHECK(live.take_gaps().empty());
}

TEST_CASE("embedded: a key's events keep their order") {
  Fixture f;
  must(Admin(f.client).create_topic("orders", 8));
  Producer producer = must(Producer::open(f.client, "orders"));
  for (int i = 0; i < 5'000; ++i) {
    const std::string key = "k" + std::to_string(i % 50), payload = std::to_string(i);
    must(producer.send(event_of(key, payload)));
  }
  CHECK(producer.close().empty());
  Reader reader = must(Reader::open(f.client, "orders", Place::from_start(), Place::from_end()));
  std::map<std::string, int> last;
  int count = 0;
  while (!reader.finished()) {
    for (const EventView& event : must(reader.next(test::patience)).events) {
      const int number = std::stoi(std::string(event.payload));
      const std::string key(event.key);
      if (last.contains(key)) CHECK(last[key] == number - 50);
      last[key] = number;
      ++count;
    }
  }
  CHECK(count == 5'000);
}

TEST_CASE("embedded: compressed batches are read like others") {
  Fixture f;
  must(Admin(f.client).create_topic("orders"));
  int begin = 0;
  for (const Compression compression : {Compression::zstd, Compression::lz4, Compression::none}) {
    ProducerOptions options;
    options.compression = compression;
    produce(f.client, "orders", begin, begin + 2'000, options);
    begin += 2'000;
  }
  Reader reader = must(Reader::open(f.client, "orders", Place::from_start(), Place::from_end()));
  check_once(read_numbers(reader), 6'000);
}

TEST_CASE("embedded: every ack level is told as it was reached") {
  Fixture f;
  must(Admin(f.client).create_topic("orders"));
  for (const AckLevel ack : {AckLevel::durable, AckLevel::received, AckLevel::none}) {
    ProducerOptions options;
    options.ack = ack;
    Producer producer = must(Producer::open(f.client, "orders", options));
    const Receipt receipt = must(must(producer.send(event_of("k", "v"))).wait());
    CHECK(receipt.ack == ack);
    CHECK(receipt.offset.has_value() == (ack != AckLevel::none));
    CHECK(producer.close().empty());
  }
  Reader reader = must(Reader::open(f.client, "orders", Place::from_start()));
  std::uint64_t seen = 0;
  while (seen < 3) seen += must(reader.next(test::patience)).events.size();
}

TEST_CASE("embedded: a follower sees what is produced while it reads") {
  Fixture f(Over::tcp);
  must(Admin(f.client).create_topic("orders", 2));
  Reader reader = must(Reader::open(f.connect(), "orders", Place::from_start()));
  produce(f.client, "orders", 0, 3'000);
  std::set<int> seen;
  while (seen.size() < 3'000) {
    for (const EventView& event : must(reader.next(test::patience)).events)
      CHECK(seen.insert(std::stoi(std::string(event.payload))).second);
  }
}

TEST_CASE("embedded: the live feed shows all that is produced after it was opened") {
  for (const Over over : {Over::inproc, Over::tcp}) {
    Fixture f(over);
    must(Admin(f.client).create_topic("orders", 3));
    produce(f.client, "orders", 0, 100);
    LiveReader reader = must(LiveReader::open(f.connect(), "orders"));
    produce(f.client, "orders", 100, 5'100);
    std::set<int> seen;
    while (seen.size() < 5'000) {
      for (const EventView& event : must(reader.next(test::patience)).events) {
        const int number = std::stoi(std::string(event.payload));
        CHECK(number >= 100);
        CHECK(seen.insert(number).second);
      }
    }
  }
}

TEST_CASE("embedded: a producer outlives a restart of the broker, and each event is there once") {
  test::TempDir directory;
  EmbeddedBrokerOptions options = Fixture::options(Over::tcp, directory.path());
  std::optional<EmbeddedBroker> broker = must(EmbeddedBroker::start(options));
  ClientOptions client_options = broker->client_options();
  client_options.timeout = test::patience;
  client_options.reconnect_max = 100ms;
  options.listen = client_options.endpoint;  // comes back where it was
  options.live = client_options.live_endpoint;
  Client client = must(Client::connect(client_options));
  must(Admin(client).create_topic("orders"));
  Producer producer = must(Producer::open(client, "orders"));
  Reader follower = must(Reader::open(client, "orders", Place::from_start()));
  int sent = 0;
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 500; ++i) {
      const std::string text = std::to_string(sent++);
      must(producer.send(event_of({}, text)));
    }
    broker.reset();
    broker.emplace(must(EmbeddedBroker::start(options)));
  }
  CHECK(producer.close().empty());
  Reader reader = must(Reader::open(client, "orders", Place::from_start(), Place::from_end()));
  check_once(read_numbers(reader), sent);
  int next = 0;
  while (next < sent) {
    for (const EventView& event : must(follower.next(test::patience)).events)
      CHECK(event.payload == std::to_string(next++));
  }
}

TEST_CASE("embedded: places, trim and describe agree with one another") {
  Fixture f;
  Admin admin(f.client);
  must(admin.create_topic("orders"));
  produce(f.client, "orders", 0, 100);
  CHECK(must(admin.offsets("orders", 0, Place::from_start())).offset == 0);
  CHECK(must(admin.offsets("orders", 0, Place::from_end())).offset == 100);
  CHECK(must(admin.offsets("orders", 0, {Place::Kind::before_end, 10})).offset == 90);
  CHECK(must(admin.offsets("orders", 0, Place::at(42))).offset == 42);
  CHECK(must(admin.offsets("orders", 0, {Place::Kind::time, INT64_MAX / 2})).offset == 100);
  CHECK(must(admin.trim_topic("orders", 0, Place::at(40))).start_offset == 40);
  const TopicDescription topic = must(admin.describe_topic("orders"));
  REQUIRE(topic.partition_descriptions.size() == 1);
  CHECK(topic.partition_descriptions[0].start_offset == 40);
  CHECK(topic.partition_descriptions[0].end_offset == 100);
  CHECK(topic.partition_descriptions[0].state == "ok");
  const auto removed = Reader::open(f.client, "orders", Place::at(10));
  REQUIRE_FALSE(removed.has_value());
  CHECK(removed.error().name == "offset_out_of_range");
  CHECK(removed.error().range_begin == 40);
  CHECK(removed.error().range_end == 100);
  Reader reader = must(Reader::open(f.client, "orders", Place::at(40)));
  const EventBatch batch = must(reader.next(test::patience));
  REQUIRE_FALSE(batch.events.empty());
  CHECK(batch.events[0].offset == 40);
}

TEST_CASE("embedded: topics are listed, refused twice, deleted and then unknown") {
  Fixture f;
  Admin admin(f.client);
  must(admin.create_topic("b", 2));
  must(admin.create_topic("a", 1, {{"live", "false"}}));
  const auto topics = must(admin.list_topics());
  REQUIRE(topics.size() == 2);
  CHECK(topics[0].name == "a");
  CHECK(topics[1].partitions == 2);
  CHECK(must(admin.describe_topic("a")).settings.at("live") == "false");
  CHECK(admin.create_topic("a").error().name == "topic_exists");
  CHECK(admin.create_topic("../a").error().name == "bad_topic_name");
  CHECK(admin.create_topic("c", 1, {{"lvie", "false"}}).error().name == "bad_setting");
  must(admin.delete_topic("a"));
  CHECK(admin.describe_topic("a").error().name == "unknown_topic");
  CHECK(Producer::open(f.client, "a").error().name == "unknown_topic");
  CHECK(Reader::open(f.client, "a", Place::from_start()).error().name == "unknown_topic");
}

TEST_CASE(
    "embedded: a topic that is deleted under its producer and reader ends both with its name") {
  Fixture f;
  Admin admin(f.client);
  must(admin.create_topic("orders"));
  Producer producer = must(Producer::open(f.client, "orders"));
  must(must(producer.send(event_of({}, "a"))).wait());
  Reader reader = must(Reader::open(f.client, "orders", Place::from_end()));
  must(admin.delete_topic("orders"));
  must(admin.create_topic("orders"));
  const auto refused = must(producer.send(event_of({}, "b"))).wait();
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().name == "unknown_topic");
  for (;;) {
    const auto batch = reader.next(test::patience);
    if (batch) continue;
    CHECK(batch.error().name == "unknown_topic");
    break;
  }
}

TEST_CASE("embedded: a client over inproc finds a broker that came back under the same name") {
  test::TempDir directory;
  EmbeddedBrokerOptions options = Fixture::options(Over::inproc, directory.path());
  options.listen = "inproc://came-back";
  options.live = "inproc://came-back-live";
  std::optional<EmbeddedBroker> broker = must(EmbeddedBroker::start(options));
  ClientOptions client_options = broker->client_options();
  client_options.timeout = test::patience;
  Client client = must(Client::connect(client_options));
  must(Admin(client).create_topic("orders"));
  Producer producer = must(Producer::open(client, "orders"));
  must(must(producer.send(event_of({}, "0"))).wait());
  broker.reset();
  const Delivery waiting = must(producer.send(event_of({}, "1")));
  broker.emplace(must(EmbeddedBroker::start(options)));
  CHECK(must(waiting.wait()).offset == 1);
  CHECK(producer.close().empty());
}
