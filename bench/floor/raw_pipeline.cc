#include "bench/floor/raw_pipeline.h"

#include <zmq.hpp>

#include <algorithm>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

namespace millrace::floor {
namespace {

using TimePoint = std::chrono::steady_clock::time_point;

// Batches on their way to the disk, and who is to be told.
struct Staging {
  explicit Staging(std::size_t bytes) : slab(bytes) {}
  AlignedMemory slab;
  std::size_t used = 0;
  std::vector<std::uint64_t> sequences;
};

class Receiver {
 public:
  Receiver(zmq::socket_t& router, RawFile& file, std::size_t batch_bytes, std::size_t in_flight)
      : router_(router),
        file_(file),
        gathering_(batch_bytes * in_flight),
        writing_(batch_bytes * in_flight) {}

  // Until an empty batch has come.
  void run() {
    const int descriptor = router_.get(zmq::sockopt::fd);
    while (!has_ended_) {
      receive();
      if (!file_.is_writing() && gathering_.used > 0) begin_write();
      if (file_.is_writing() && file_.poll_written()) {
        acknowledge();
        continue;
      }
      // The descriptor tells only of changes: what is there already must be asked for.
      if (has_ended_ || (router_.get(zmq::sockopt::events) & ZMQ_POLLIN) != 0) continue;
      file_.wait_written_or_readable(descriptor);
      if (!file_.is_writing() && !writing_.sequences.empty()) acknowledge();
    }
  }

 private:
  void receive() {
    zmq::message_t identity, sequence, body;
    while (router_.recv(identity, zmq::recv_flags::dontwait)) {
      // Kept apart: a receive that finds nothing empties the message it was given.
      identity_.move(identity);
      (void)router_.recv(sequence);
      (void)router_.recv(body);
      if (body.size() == 0) {
        has_ended_ = true;
        return;
      }
      std::memcpy(gathering_.slab.data() + gathering_.used, body.data(), body.size());
      gathering_.used += body.size();
      std::uint64_t number = 0;
      std::memcpy(&number, sequence.data(), sizeof number);
      gathering_.sequences.push_back(number);
    }
  }

  void begin_write() {
    std::swap(gathering_, writing_);
    file_.begin_write(writing_.slab.data(), writing_.used);
  }

  void acknowledge() {
    for (const std::uint64_t number : writing_.sequences) {
      zmq::message_t to;
      to.copy(identity_);
      router_.send(to, zmq::send_flags::sndmore);
      router_.send(zmq::buffer(&number, sizeof number), zmq::send_flags::none);
    }
    writing_.sequences.clear();
    writing_.used = 0;
  }

  zmq::socket_t& router_;
  RawFile& file_;
  Staging gathering_;
  Staging writing_;
  zmq::message_t identity_;  // there is one sender
  bool has_ended_ = false;
};

class Sender {
 public:
  Sender(zmq::context_t& context, const std::string& endpoint, std::size_t batch_bytes,
         std::size_t in_flight)
      : dealer_(context, zmq::socket_type::dealer), batch_(batch_bytes, 'b'), sent_at_(in_flight) {
    dealer_.set(zmq::sockopt::linger, 10'000);
    dealer_.connect(endpoint);
  }

  void run(const Options& options, Cell& cell) {
    // One batch there and back before the clock starts: connecting is not what is measured.
    send();
    take_ack(cell);
    cell.latencies_us.clear();
    cell.batches = 0;
    Limit limit(options);
    for (bool more = true; more || unacked_ > 0;) {
      while (more && unacked_ < sent_at_.size()) {
        more = limit.allows(batch_.size());
        if (more) send();
      }
      if (unacked_ > 0) take_ack(cell);
    }
    cell.seconds = limit.elapsed();
    dealer_.send(zmq::message_t(sizeof(std::uint64_t)), zmq::send_flags::sndmore);
    dealer_.send(zmq::message_t(), zmq::send_flags::none);
  }

 private:
  void send() {
    sent_at_[next_ % sent_at_.size()] = std::chrono::steady_clock::now();
    dealer_.send(zmq::buffer(&next_, sizeof next_), zmq::send_flags::sndmore);
    // The bytes outlive the message, so they need no copy.
    zmq::message_t body(batch_.data(), batch_.size(), [](void*, void*) {});
    dealer_.send(body, zmq::send_flags::none);
    ++next_;
    ++unacked_;
  }

  void take_ack(Cell& cell) {
    zmq::message_t ack;
    (void)dealer_.recv(ack);
    std::uint64_t number = 0;
    std::memcpy(&number, ack.data(), sizeof number);
    cell.latencies_us.push_back(microseconds_since(sent_at_[number % sent_at_.size()]));
    ++cell.batches;
    --unacked_;
  }

  zmq::socket_t dealer_;
  std::string batch_;
  std::vector<TimePoint> sent_at_;
  std::uint64_t next_ = 0;
  std::size_t unacked_ = 0;
};

}  // namespace

Cell measure_pipeline(const Options& options, std::size_t batch_bytes, std::size_t in_flight,
                      Blocks blocks) {
  Cell cell;
  cell.kind = "pipeline";
  cell.name = blocks == Blocks::written ? "written blocks" : "fallocated";
  cell.batch_bytes = batch_bytes;
  cell.in_flight = in_flight;
  const std::uint64_t window = std::max<std::uint64_t>(batch_bytes * in_flight, alignment);
  // Large enough that no block of a fallocated file is written twice.
  const std::uint64_t room = blocks == Blocks::fallocated
                                 ? options.bytes_max
                                 : std::min<std::uint64_t>(options.bytes_max, 1ull << 30);
  RawFile file(options.directory, std::max(room, 2 * window) / alignment * alignment + 2 * window,
               blocks);
  zmq::context_t context(1);
  zmq::socket_t router(context, zmq::socket_type::router);
  router.set(zmq::sockopt::linger, 0);
  router.bind("tcp://127.0.0.1:*");
  Sender sender(context, router.get(zmq::sockopt::last_endpoint), batch_bytes, in_flight);
  std::thread sending([&] { sender.run(options, cell); });
  Receiver(router, file, batch_bytes, in_flight).run();
  sending.join();
  return cell;
}

}  // namespace millrace::floor
