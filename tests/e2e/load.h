// A producer that keeps batches in flight and remembers what was acknowledged, and a reader that
// checks it.
#pragma once

#include "tests/support/raw_client.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace millrace::test {

// One batch with one event; the text says which it is.
std::string payload_of(std::uint64_t sequence);

class Load {
 public:
  // As many batches of a session as the broker remembers.
  static constexpr std::size_t window = 32;

  explicit Load(std::uint64_t producer_id) : producer_id_(producer_id) {}

  // Connects anew and sends what is unanswered again, with the same sequences.
  void connect(const std::string& endpoint);
  // Sends up to the window and takes in what comes within `wait`. False: no answer came.
  bool pump(std::chrono::milliseconds wait);
  // No new batches from now on; pump only takes in answers.
  void end() { ended_ = true; }
  bool has_unanswered() const { return !unanswered_.empty(); }

  // Sequence to offset of what was acknowledged as durable.
  const std::map<std::uint64_t, std::uint64_t>& acked() const { return acked_; }
  std::uint64_t sent() const { return next_; }
  std::size_t refused_for_stop() const { return refused_for_stop_; }
  const std::vector<std::string>& surprises() const { return surprises_; }

 private:
  void transmit(std::uint64_t sequence);
  void take(const RawReply& reply);

  std::uint64_t producer_id_;
  std::unique_ptr<RawClient> client_;
  std::uint64_t next_ = 0;
  bool ended_ = false;
  std::map<std::uint64_t, bool> unanswered_;
  std::map<std::uint64_t, std::uint64_t> acked_;
  std::size_t refused_for_stop_ = 0;
  std::vector<std::string> surprises_;
};

// All payloads of a partition from offset 0, by fetch; the index is the offset.
std::vector<std::string> read_all(const std::string& endpoint, const std::string& topic);

}  // namespace millrace::test
