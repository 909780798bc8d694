#include "broker/wire/zmq_message.h"
#include "broker/wire/zmq_socket.h"
#include "storage/base/units.h"
#include "tests/support/temp_dir.h"
#include "tests/support/zmq_context.h"

#include <catch2/catch.hpp>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <optional>
#include <thread>
#include <vector>

namespace millrace {
namespace {

Buffer filled(SlabPool& pool, std::size_t bytes) {
  Buffer whole = pool.take(bytes);
  std::memset(whole.slab()->data(), 0x5a, bytes);
  return whole.slice(0, bytes);
}

TEST_CASE("a large buffer becomes a message without a copy and comes back when it is dropped") {
  SlabPool pool(0);
  std::optional<zmq::message_t> message;
  {
    const Buffer buffer = filled(pool, 64 * KiB);
    message.emplace(to_message(buffer));
    CHECK(message->data() == buffer.bytes().data());
  }
  CHECK(pool.used_bytes() > 0);
  CHECK(bytes_of(*message)[64 * KiB - 1] == std::byte{0x5a});
  message.reset();
  CHECK(pool.used_bytes() == 0);
}

TEST_CASE("a small buffer is copied and does not keep its slab") {
  SlabPool pool(0);
  const zmq::message_t message = to_message(filled(pool, 100));
  CHECK(pool.used_bytes() == 0);
  CHECK(message.size() == 100);
  CHECK(bytes_of(message)[99] == std::byte{0x5a});
}

TEST_CASE("pinned bytes are counted until the message is freed, even when their counter is gone") {
  SlabPool pool(0);
  auto pinned = std::make_shared<std::atomic<std::uint64_t>>(0);
  std::optional<zmq::message_t> message(to_message(filled(pool, 16 * KiB), pinned));
  CHECK(*pinned == 16 * KiB);
  SECTION("counter watched") {
    message.reset();
    CHECK(*pinned == 0);
  }
  SECTION("counter dropped first") {
    pinned.reset();
    message.reset();
  }
  CHECK(pool.used_bytes() == 0);
}

TEST_CASE("a slice counts for a part of the slab that it keeps, a copy for itself") {
  SlabPool pool(0);
  const PinnedBytes pinned = make_pinned_bytes();
  const PinnedBytes all = make_pinned_bytes();
  {
    const zmq::message_t slice = to_message(filled(pool, 1 * MiB).slice(0, 16 * KiB), pinned, all);
    CHECK(*pinned == 64 * KiB);
    CHECK(*all == 64 * KiB);
  }
  const std::vector<std::byte> head(20 * KiB, std::byte{7});
  {
    const zmq::message_t copy = to_message(ByteView(head), pinned, all);
    CHECK(*pinned == 20 * KiB);
    CHECK(std::ranges::equal(bytes_of(copy), head));
  }
  CHECK(*pinned == 0);
  CHECK(*all == 0);
}

TEST_CASE("a message that another thread drops gives its slab back") {
  const test::ZmqContext context;
  SlabPool pool(0);
  auto socket = ZmqSocket::open(context.raw(), ZMQ_PAIR);
  REQUIRE(socket);
  REQUIRE(socket->bind("inproc://pair"));
  std::thread other([&] {
    void* pair = zmq_socket(context.raw(), ZMQ_PAIR);
    zmq_connect(pair, "inproc://pair");
    for (int i = 0; i < 100; ++i) {
      zmq_msg_t message;
      zmq_msg_init(&message);
      zmq_msg_recv(&message, pair, 0);
      zmq_msg_close(&message);
    }
    zmq_close(pair);
  });
  for (int i = 0; i < 100; ++i) {
    zmq::message_t message = to_message(filled(pool, 32 * KiB));
    while (socket->send(message, 0) != ZmqSocket::Io::done) std::this_thread::yield();
  }
  other.join();
  CHECK(pool.used_bytes() == 0);
}

TEST_CASE("an endpoint that is taken or is none is refused with its name") {
  const test::ZmqContext context;
  auto first = ZmqSocket::open(context.raw(), ZMQ_ROUTER);
  auto second = ZmqSocket::open(context.raw(), ZMQ_ROUTER);
  REQUIRE(first);
  REQUIRE(second);
  const auto bound = first->bind("tcp://127.0.0.1:0");
  REQUIRE(bound);
  CHECK(*bound != "tcp://127.0.0.1:0");
  const auto taken = second->bind(*bound);
  REQUIRE_FALSE(taken);
  CHECK(taken.error().code == Errc::bad_state);
  CHECK(taken.error().text.find(*bound) != std::string::npos);
  const auto nonsense = second->bind("nonsense");
  REQUIRE_FALSE(nonsense);
  CHECK(nonsense.error().code == Errc::bad_config);
}

TEST_CASE("an ipc path that somebody listens at is not taken away, one that was left behind is") {
  const test::TempDir dir;
  const std::string endpoint = "ipc://" + (dir / "socket");
  const test::ZmqContext context;
  {
    auto first = ZmqSocket::open(context.raw(), ZMQ_ROUTER);
    auto second = ZmqSocket::open(context.raw(), ZMQ_ROUTER);
    REQUIRE(first);
    REQUIRE(second);
    REQUIRE(first->bind(endpoint));
    const auto taken = second->bind(endpoint);
    REQUIRE_FALSE(taken);
    CHECK(taken.error().code == Errc::bad_state);
    CHECK(taken.error().text.find("another program has it") != std::string::npos);
  }
  // As after a kill: the file is there, and nobody behind it.
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = dir / "left";
  path.copy(address.sun_path, path.size());
  const int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  REQUIRE(bind(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  close(descriptor);
  auto third = ZmqSocket::open(context.raw(), ZMQ_ROUTER);
  REQUIRE(third);
  CHECK(third->bind("ipc://" + path));
}

}  // namespace
}  // namespace millrace
