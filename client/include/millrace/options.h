// What can be set on a client and its objects. Durations are std::chrono, sizes are bytes.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

namespace millrace {

struct ClientOptions {
  // Of the request port: "tcp://host:port", "ipc://path", or "inproc://name" with `zmq_context`
  // set.
  std::string endpoint = "tcp://127.0.0.1:7711";
  // Of the live feed. Empty: asked of the broker, with this endpoint's host in place of a bound
  // wildcard.
  std::string live_endpoint = {};
  // How long one request may take, retries included, before it fails with timed_out (result
  // unknown).
  std::chrono::milliseconds timeout{30'000};
  // Pauses between attempts to connect grow from min to max, with jitter.
  std::chrono::milliseconds reconnect_min{20};
  std::chrono::milliseconds reconnect_max{2'000};
  // A void* zmq context to share with an in-process broker (EmbeddedBroker::client_options fills
  // it). Not owned.
  void* zmq_context = nullptr;
  // Called on the client's own thread when there was no connection for `unreachable_after`, once
  // each time: after the client was made, or after a connection broke; to tell people why nothing
  // happens. It must not block, nor call this library. Requests go on waiting. Not at inproc://,
  // where a connection is there at once.
  std::function<void()> on_unreachable = {};
  std::chrono::milliseconds unreachable_after{1'000};
};

enum class Compression { none, zstd, lz4 };
enum class AckLevel : std::uint8_t { none = 0, received = 1, durable = 2 };

struct ProducerOptions {
  AckLevel ack = AckLevel::durable;
  Compression compression = Compression::none;
  // A batch leaves when it has this many bytes, or at once when nothing is in flight for its
  // partition.
  std::size_t batch_bytes = 256 * 1024;
  // Batches of one partition on their way; 1 to 32.
  std::uint32_t in_flight_max = 8;
  // Waiting and in flight together; send() then waits up to the client's timeout for room.
  std::size_t buffer_bytes_max = 64 * 1024 * 1024;
  // A session's number; 0: a random one. Two producers must not share one.
  std::uint64_t producer_id = 0;
};

struct ReaderOptions {
  // Bytes that the broker may push ahead of what was taken; bounds the reader's memory per
  // partition.
  std::uint32_t credit_bytes = 8 * 1024 * 1024;
  // Largest body after decompression that is accepted.
  std::uint32_t batch_bytes_max = 64 * 1024 * 1024;
};

}  // namespace millrace
