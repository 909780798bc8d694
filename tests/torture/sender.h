// One producer under torture: announces bursts of events, sends them, and journals what became of
// each.
//
// Owner: the load program, one thread each. A session ends when its producer can go on no more (its
// topic was deleted, another fenced it); the sender then begins a new one. Order is promised within
// one.
#pragma once

#include "millrace/millrace.h"
#include "tests/torture/journal.h"

#include <atomic>
#include <cstdint>
#include <deque>
#include <random>
#include <string>
#include <vector>

namespace millrace::torture {

struct SenderOptions {
  ClientOptions client;
  std::string topic;
  std::uint64_t seed = 0;
  std::size_t outstanding_max = 4'096;     // events without an outcome
  std::uint64_t events_per_second = 0;     // 0: as fast as they are acked
  std::uint32_t burst_max = 256;           // events of one announcement
  std::size_t large_payload_max = 60'000;  // one in a thousand events is up to so large
};

class Sender {
 public:
  // `next_session` is shared by all senders of the process; sessions are never used again.
  Sender(Journal& journal, SenderOptions options, std::atomic<std::uint64_t>& next_session);
  // Until `stop`.
  void run(const std::atomic<bool>& stop);

 private:
  struct Sent {
    std::uint64_t number = 0;
    Delivery delivery;
  };
  enum class Kind { ok, fail, unknown };
  struct Fate {
    Kind kind = Kind::ok;
    std::optional<std::uint64_t> offset;
    std::string why;
  };

  bool open(const Client& client, const std::atomic<bool>& stop);
  void run_session(const std::atomic<bool>& stop);
  void send_burst();
  std::size_t payload_bytes();
  // Journals the outcomes that are known, the oldest first. True: something failed.
  bool collect();
  bool collect(std::deque<Sent>& sent, std::string& lines);
  static Fate fate_of(const Outcome<Receipt>& outcome);
  void keep_rate(std::int64_t begin) const;

  Journal& journal_;
  const SenderOptions options_;
  std::atomic<std::uint64_t>& next_session_;
  std::mt19937_64 random_;
  std::optional<Producer> producer_;
  std::uint64_t session_ = 0;
  std::uint64_t next_number_ = 0;
  std::size_t outstanding_ = 0;
  std::vector<std::deque<Sent>> sent_;  // per partition
  bool session_over_ = false;
  std::string payload_;
};

}  // namespace millrace::torture
