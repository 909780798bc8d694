#include "bench/floor/raw_zmq.h"

#include "bench/floor/raw_disk.h"

#include <zmq.hpp>

#include <atomic>
#include <string>
#include <thread>

namespace millrace::floor {

Cell measure_zmq(const Options& options, std::size_t message_bytes) {
  Cell cell;
  cell.kind = "zmq";
  cell.name = "DEALER to ROUTER";
  cell.batch_bytes = message_bytes;
  zmq::context_t context(1);
  zmq::socket_t router(context, zmq::socket_type::router);
  router.set(zmq::sockopt::linger, 0);
  router.bind("tcp://127.0.0.1:*");
  const std::string endpoint = router.get(zmq::sockopt::last_endpoint);

  // The sender is bounded by libzmq's own high-water mark; an empty message ends the run.
  std::thread sender([&] {
    zmq::socket_t dealer(context, zmq::socket_type::dealer);
    dealer.set(zmq::sockopt::linger, 10'000);
    dealer.connect(endpoint);
    const std::string bytes(message_bytes, 'm');
    Limit limit(options);
    while (limit.allows(message_bytes)) {
      dealer.send(zmq::buffer(bytes), zmq::send_flags::none);
    }
    dealer.send(zmq::message_t(), zmq::send_flags::none);
  });

  std::chrono::steady_clock::time_point began;
  for (;;) {
    zmq::message_t identity, body;
    (void)router.recv(identity);
    (void)router.recv(body);
    if (body.size() == 0) break;
    // The first message only starts the clock: connecting is not what is measured.
    if (cell.batches == 0 && cell.seconds == 0) {
      began = std::chrono::steady_clock::now();
      cell.seconds = 1e-9;
      continue;
    }
    ++cell.batches;
  }
  cell.seconds = microseconds_since(began) / 1e6;
  sender.join();
  return cell;
}

}  // namespace millrace::floor
