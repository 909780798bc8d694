// No message may wait while the loop sleeps (fault row Z-10): a great many messages with pauses of
// any length, over every pair of sockets that the broker uses, through the same pump and the same
// reactors.
//
//   wake_up_stress [--messages N] [--seed S] [--ledger FILE]
//
//   router   peers with a DEALER each send bursts and wait for every answer
//   feed     the same, and each request is published: the peer waits for that too
//   sub      the loop reads a SUB; the peer publishes bursts and waits until they were read
//
// The loop has no safety deadline: a message that is left behind makes it sleep until nothing but
// its long end wakes it. So a slow machine fails nothing, and a missed wake-up always does.
#include "broker/wire/zmq_pump.h"
#include "storage/base/check.h"
#include "storage/base/random.h"
#include "storage/io/poll_reactor.h"
#include "storage/io/ring.h"
#include "storage/io/system_clock.h"
#include "tests/support/zmq_context.h"

#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace millrace {
namespace {

constexpr int peers = 3;
const std::string feed_prefix = "feed";
constexpr std::size_t receive_budget = 16;
constexpr Duration sleep_max = seconds(60);
constexpr Duration sleep_allowed = seconds(30);
// A peer that hears nothing for so long ends the run: the loop sleeps, or something is lost.
constexpr int patience_ms = 120'000;

// Mostly none, often a few microseconds, now and then some milliseconds: edges come while the loop
// is anywhere.
void pause(Random& random) {
  const std::uint64_t kind = random.below(64);
  if (kind == 0) {
    std::this_thread::sleep_for(std::chrono::microseconds(random.below(3'000)));
  } else if (kind < 16) {
    const auto until =
        std::chrono::steady_clock::now() + std::chrono::nanoseconds(random.below(20'000));
    while (std::chrono::steady_clock::now() < until) {
    }
  } else if (kind < 24) {
    std::this_thread::yield();
  }
}

// A socket of a peer's thread; blocking, with an end to its patience.
class PeerSocket {
 public:
  PeerSocket(void* context, int type) : socket_(zmq_socket(context, type)) {
    for (const auto& [option, value] : {std::pair{ZMQ_LINGER, 0},
                                        {ZMQ_RCVTIMEO, patience_ms},
                                        {ZMQ_SNDTIMEO, patience_ms},
                                        {ZMQ_RCVHWM, 0},
                                        {ZMQ_SNDHWM, 0}})
      zmq_setsockopt(socket_, option, &value, sizeof value);
  }
  PeerSocket(const PeerSocket&) = delete;
  PeerSocket& operator=(const PeerSocket&) = delete;
  ~PeerSocket() { zmq_close(socket_); }

  void connect(const std::string& endpoint) {
    CHECK(zmq_connect(socket_, endpoint.c_str()) == 0, "a peer connects");
  }
  std::string bind(const std::string& endpoint) {
    CHECK(zmq_bind(socket_, endpoint.c_str()) == 0, "a peer binds");
    char bound[256];
    std::size_t bytes = sizeof bound;
    zmq_getsockopt(socket_, ZMQ_LAST_ENDPOINT, bound, &bytes);
    return bound;
  }
  void subscribe(const std::string& topic) {
    zmq_setsockopt(socket_, ZMQ_SUBSCRIBE, topic.data(), topic.size());
  }
  void send(const std::string& text) {
    CHECK(zmq_send(socket_, text.data(), text.size(), 0) >= 0, "a peer can send");
  }
  void receive() {
    CHECK(zmq_recv(socket_, nullptr, 0, 0) >= 0, "a message was left behind, or lost");
  }
  bool receive_within(int milliseconds) {
    zmq_pollitem_t item{socket_, 0, ZMQ_POLLIN, 0};
    if (zmq_poll(&item, 1, milliseconds) <= 0) return false;
    receive();
    return true;
  }

 private:
  void* socket_;
};

// Answers every request later in the turn, as a broker does that waits for its disk: what is sent
// behind the last receive eats the edges of what has come meanwhile. Publishes it where there is a
// feed.
class Answering : public PumpTarget {
 public:
  Answering(ZmqSocket& router, ZmqSocket* feed) : router_(router), feed_(feed) {}
  bool receive_one() override {
    Request request;
    if (router_.receive(request.address) != ZmqSocket::Io::done) return false;
    CHECK(router_.receive(request.body) == ZmqSocket::Io::done, "a request has a body");
    requests_.push_back(std::move(request));
    return true;
  }
  void answer_all() {
    for (Request& request : requests_) {
      if (feed_ != nullptr) {
        zmq::message_t copy;
        copy.copy(request.body);
        CHECK(feed_->send(copy, 0) == ZmqSocket::Io::done, "a PUB takes everything");
      }
      CHECK(router_.send(request.address, ZMQ_SNDMORE) == ZmqSocket::Io::done,
            "an answer finds its peer");
      CHECK(router_.send(request.body, 0) == ZmqSocket::Io::done, "an answer finds its peer");
    }
    requests_.clear();
  }

 private:
  struct Request {
    zmq::message_t address, body;
  };
  ZmqSocket& router_;
  ZmqSocket* feed_;
  std::vector<Request> requests_;
};

class Counting : public PumpTarget {
 public:
  Counting(ZmqSocket& socket, std::atomic<std::uint64_t>& count) : socket_(socket), count_(count) {}
  bool receive_one() override {
    zmq::message_t body;
    if (socket_.receive(body) != ZmqSocket::Io::done) return false;
    count_.fetch_add(1);
    return true;
  }

 private:
  ZmqSocket& socket_;
  std::atomic<std::uint64_t>& count_;
};

class NothingToReceive : public PumpTarget {
 public:
  bool receive_one() override { return false; }
};

// The broker's turn around these pumps, until all peers have ended. Answers the longest sleep.
Duration run_loop(Reactor& reactor, ZmqPump& main, ZmqPump* feed, Answering* answering,
                  const std::atomic<int>& running, std::vector<std::thread>& threads) {
  SystemClock clock;
  Duration longest{0};
  while (running.load() > 0) {
    if (feed != nullptr) static_cast<void>(feed->must_not_sleep());
    main.drain(receive_budget);
    if (answering != nullptr) answering->answer_all();
    const bool stay = main.must_not_sleep();
    if (feed != nullptr) feed->drain(1);
    const Instant before = clock.now();
    reactor.wait_until(stay ? before : before + sleep_max);
    longest = std::max(longest, clock.now() - before);
  }
  for (std::thread& thread : threads) thread.join();
  return longest;
}

struct Plan {
  std::string transport;
  std::uint64_t messages = 0, seed = 0;
  std::string endpoint(const char* name) const {
    return transport == "tcp" ? "tcp://127.0.0.1:0" : fmt::format("inproc://{}", name);
  }
};

// The last thing a peer does is to wake the loop, so that it sees that it can end.
struct Ending {
  std::atomic<int>& running;
  PeerSocket& socket;
  ~Ending() {
    running.fetch_sub(1);
    socket.send(feed_prefix);
  }
};

void ask(void* context, const std::string& requests, const std::string& feed, const Plan& plan,
         int number, std::atomic<int>& running) {
  Random random(plan.seed + static_cast<std::uint64_t>(number));
  PeerSocket dealer(context, ZMQ_DEALER), sub(context, ZMQ_SUB);
  dealer.connect(requests);
  const Ending ending{running, dealer};
  const std::string topic = fmt::format("peer-{}/", number);
  if (!feed.empty()) {
    sub.connect(feed);
    sub.subscribe(topic);
    // A subscription takes a moment to arrive.
    do {
      dealer.send(topic);
      dealer.receive();
    } while (!sub.receive_within(20));
    while (sub.receive_within(200)) {
    }
  }
  for (std::uint64_t sent = 0; sent < plan.messages / peers;) {
    const std::uint64_t burst =
        std::min(plan.messages / peers - sent, 1 + random.below(random.chance(1, 8) ? 300 : 4));
    for (std::uint64_t i = 0; i < burst; ++i) {
      dealer.send(topic + std::string(random.below(200), 'x'));
      if (random.chance(1, 4)) pause(random);
    }
    sent += burst;
    for (std::uint64_t i = 0; i < burst; ++i) {
      dealer.receive();
      if (!feed.empty()) sub.receive();
    }
    pause(random);
  }
}

Duration run_router(Reactor& reactor, const Plan& plan, bool with_feed) {
  const test::ZmqContext context;
  auto router = ZmqSocket::open(context.raw(), ZMQ_ROUTER);
  auto pub = ZmqSocket::open(context.raw(), ZMQ_PUB);
  CHECK(router && pub, "sockets can be made");
  router->set(ZMQ_SNDHWM, 0);
  router->set(ZMQ_ROUTER_MANDATORY, 0);
  pub->set(ZMQ_SNDHWM, 0);
  const auto requests = router->bind(plan.endpoint("requests"));
  const auto feed = pub->bind(plan.endpoint("feed"));
  CHECK(requests && feed, "sockets can be bound");
  Answering answering(*router, with_feed ? &*pub : nullptr);
  NothingToReceive nothing;
  ZmqPump main(reactor, *router, answering), live(reactor, *pub, nothing);
  CHECK(main.start() && live.start(), "sockets can be watched");
  std::atomic<int> running{peers};
  std::vector<std::thread> threads;
  for (int i = 0; i < peers; ++i)
    threads.emplace_back(
        [&, i] { ask(context.raw(), *requests, with_feed ? *feed : "", plan, i, running); });
  return run_loop(reactor, main, &live, &answering, running, threads);
}

Duration run_sub(Reactor& reactor, const Plan& plan) {
  const test::ZmqContext context;
  auto sub = ZmqSocket::open(context.raw(), ZMQ_SUB);
  CHECK(sub, "a socket can be made");
  sub->set(ZMQ_RCVHWM, 0);
  PeerSocket pub(context.raw(), ZMQ_PUB);
  const std::string endpoint = pub.bind(plan.endpoint("published"));
  // Options of the socket are numbers, so the prefix is one: the bytes "feed".
  int prefix = 0;
  std::memcpy(&prefix, feed_prefix.data(), sizeof prefix);
  sub->set(ZMQ_SUBSCRIBE, prefix);
  CHECK(sub->connect(endpoint), "the loop follows");
  std::atomic<std::uint64_t> count{0};
  std::atomic<int> running{1};
  Counting counting(*sub, count);
  ZmqPump main(reactor, *sub, counting);
  CHECK(main.start(), "a socket can be watched");
  std::vector<std::thread> threads;
  threads.emplace_back([&] {
    Random random(plan.seed);
    const Ending ending{running, pub};
    const auto wait_for = [&](std::uint64_t wanted) {
      const auto last = std::chrono::steady_clock::now() + std::chrono::milliseconds(patience_ms);
      while (count.load() < wanted) {
        CHECK(std::chrono::steady_clock::now() < last, "a message was left behind, or lost");
        std::this_thread::yield();
      }
    };
    // A subscription takes a moment to arrive.
    while (count.load() == 0) {
      pub.send(std::string(feed_prefix));
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    std::uint64_t base = count.load();
    for (std::uint64_t sent = 0; sent < plan.messages;) {
      const std::uint64_t burst =
          std::min(plan.messages - sent, 1 + random.below(random.chance(1, 8) ? 300 : 4));
      for (std::uint64_t i = 0; i < burst; ++i) {
        pub.send(feed_prefix + std::string(random.below(200), 'x'));
        if (random.chance(1, 4)) pause(random);
      }
      sent += burst;
      wait_for(base + sent);
      pause(random);
    }
  });
  return run_loop(reactor, main, nullptr, nullptr, running, threads);
}

struct Arguments {
  std::uint64_t messages = 100'000, seed = 1;
  std::string ledger;
};

Arguments parse(int argc, char** argv) {
  Arguments out;
  for (int i = 1; i < argc; i += 2) {
    const std::string word = argv[i];
    if (i + 1 == argc) throw std::invalid_argument(word + " needs a value");
    const std::string value = argv[i + 1];
    if (word == "--messages") {
      out.messages = std::stoull(value);
    } else if (word == "--seed") {
      out.seed = std::stoull(value);
    } else if (word == "--ledger") {
      out.ledger = value;
    } else {
      throw std::invalid_argument("unknown argument " + word +
                                  "; known are --messages, --seed, --ledger");
    }
  }
  return out;
}

int run(const Arguments& arguments) {
  fmt::print("wake_up_stress: seed {}\n", arguments.seed);
  struct Row {
    const char *reactor, *sockets, *transport;
  };
  std::vector<Row> rows;
  const bool has_ring = Ring::create().has_value();  // refused on some hosts
  for (const char* reactor : {"poll", "ring"})
    for (const char* sockets : {"router", "feed", "sub"})
      for (const char* transport : {"tcp", "inproc"})
        if (has_ring || reactor == std::string_view("poll"))
          rows.push_back({reactor, sockets, transport});
  int failed = 0;
  for (const Row& row : rows) {
    const Plan plan{row.transport, std::max<std::uint64_t>(arguments.messages / rows.size(), peers),
                    arguments.seed};
    std::fflush(stdout);
    const auto begin = std::chrono::steady_clock::now();
    PollReactor poll;
    std::unique_ptr<Ring> ring;
    if (row.reactor == std::string_view("ring")) ring = std::move(*Ring::create());
    Reactor& reactor = ring ? static_cast<Reactor&>(*ring) : poll;
    const std::string_view sockets = row.sockets;
    const Duration longest =
        sockets == "sub" ? run_sub(reactor, plan) : run_router(reactor, plan, sockets == "feed");
    const double passed =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    const bool ok = longest < sleep_allowed;
    failed += ok ? 0 : 1;
    fmt::print("{:5} {:7} {:7} {:10} messages {:8.1f} s, longest sleep {:6} ms {}\n", row.reactor,
               row.sockets, row.transport, plan.messages, passed, longest.ns / 1'000'000,
               ok ? "" : "FAILED");
    if (!arguments.ledger.empty())
      std::ofstream(arguments.ledger, std::ios::app) << fmt::format(
          "{{\"test\":\"wake_up\",\"reactor\":\"{}\",\"sockets\":\"{}\",\"transport\":\"{}\","
          "\"messages\":{},\"seed\":{},\"seconds\":{:.1f},\"longest_sleep_ms\":{},\"ok\":{}}}\n",
          row.reactor, row.sockets, row.transport, plan.messages, arguments.seed, passed,
          longest.ns / 1'000'000, ok);
  }
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace millrace

int main(int argc, char** argv) {
  try {
    return millrace::run(millrace::parse(argc, argv));
  } catch (const std::exception& error) {
    fmt::print(stderr, "wake_up_stress: {}\n", error.what());
    return 2;
  }
}
