// Fetch requests from their arrival to their answer: long poll, memory, disk.
//
//   serve ─▶ from memory ───────────────────────────────▶ answer
//     │  └─▶ on disk: LogRead ──────────────────────────▶ answer
//     ├────▶ too little there: parked, until data or the deadline, then serve again
//     └────▶ no room for its client: in the client's line, then serve again
//
// Trip two. Owner: Shard. Thread: the shard's. A fetch is known by its client and request id, so
// the same id twice in flight is refused (PR-24). Nothing here holds data: an answer is sent as
// soon as it is read.
#pragma once

#include "broker/by_client.h"
#include "broker/clients.h"
#include "broker/core.h"
#include "broker/fetch/fetch_waiters.h"
#include "broker/requests.h"
#include "storage/io/timers.h"
#include "storage/log.h"

#include <cstddef>

namespace millrace {

class Partition;

class Fetches {
 public:
  explicit Fetches(const Core& core);
  Fetches(const Fetches&) = delete;
  Fetches& operator=(const Fetches&) = delete;
  ~Fetches();

  // Clamps wait, minimum and maximum to the broker's limits (PR-23), then answers or waits.
  void begin(ClientHandle client, std::uint64_t request_id, Partition& partition,
             const FetchRequest& request);

  void client_gone(ClientHandle client);
  // Every fetch of this partition is answered with `error`.
  void end_all(const Partition& partition, const Error& error);
  void end_all(const Error& error);
  // Frees what ended inside of its own callback.
  void tidy();

  std::size_t size() const { return fetches_.size(); }

 private:
  class Fetch;

  std::size_t count_of(ClientHandle client) const { return fetches_.count_of(client); }
  void serve(Fetch& fetch);
  void park(Fetch& fetch, std::size_t missing);
  void read(Fetch& fetch, std::size_t bytes_max);
  void on_read(Fetch& fetch, Result<ReadResult> result);
  void answer(Fetch& fetch, ReadResult result);
  void refuse(Fetch& fetch, const Error& error);
  void end(Fetch& fetch);

  const Core& core_;
  ByClient<Fetch> fetches_;  // the id is that of the request
};

}  // namespace millrace
