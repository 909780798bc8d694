// What one measurement is asked for and what it answers.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace millrace::floor {

struct Options {
  std::string directory = ".";
  std::size_t batch_bytes = 0;           // 0: the usual sizes
  std::size_t in_flight = 0;             // 0: what fits the size
  double seconds = 3;                    // a cell ends after this
  std::uint64_t bytes_max = 2ull << 30;  // ... or after this
};

struct Cell {
  std::string kind;  // "disk", "zmq" or "pipeline"
  std::string name;
  std::size_t batch_bytes = 0;
  std::size_t in_flight = 1;
  std::uint64_t batches = 0;
  double seconds = 0;
  std::vector<double> latencies_us;  // of each batch, until it was acked (disk: written)

  double mb_per_second() const {
    return seconds > 0 ? static_cast<double>(batches * batch_bytes) / seconds / 1e6 : 0;
  }
  double batches_per_second() const {
    return seconds > 0 ? static_cast<double>(batches) / seconds : 0;
  }
  // 0 when nothing was measured.
  double latency_us(double quantile) const;
};

// Ends a cell after its time or its bytes, whichever comes first.
class Limit {
 public:
  explicit Limit(const Options& options)
      : began_(now()), seconds_(options.seconds), bytes_left_(options.bytes_max) {}

  // Whether another `bytes` may begin.
  bool allows(std::size_t bytes) {
    if (bytes_left_ < bytes || elapsed() >= seconds_) return false;
    bytes_left_ -= bytes;
    return true;
  }
  double elapsed() const { return std::chrono::duration<double>(now() - began_).count(); }

 private:
  using Clock = std::chrono::steady_clock;
  static Clock::time_point now() { return Clock::now(); }
  Clock::time_point began_;
  double seconds_;
  std::uint64_t bytes_left_;
};

inline double microseconds_since(std::chrono::steady_clock::time_point began) {
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - began)
      .count();
}

}  // namespace millrace::floor
