// Everything the shard keeps per client: replies that found the client busy, and how many bytes of
// data are on their way to it. This is the one place where replies leave the core.
//
// Bounds (PR-14). A client whose queue is full is *busy*: its replies wait here, in order, up to
// client_bytes_max; past that they are dropped and counted, and the client hears nothing, as if
// they were lost on the way. Nothing is read for a busy client: fetches and subscriptions wait in
// its line for room. What is being read from disk for it is reserved first, and what the port has
// taken counts until the network has it. All clients together stay below reply_bytes_max the same
// way. Above it a client that holds nothing still gets a first small reply, as long as all of these
// stay below a quarter more: a few hundred who do not read do not stop those who do. A large reply
// without data (a list of very many topics) that has no room is refused as overloaded.
//
// A client that is gone keeps its (silent) entry until the turn, which tells the other parts; so no
// call here ever destroys a fetch or a subscription of its caller.
//
// Owner: Shard. Thread: the shard's.
#pragma once

#include "broker/client_port.h"
#include "broker/metrics/metrics.h"
#include "broker/options.h"
#include "broker/shard.h"
#include "storage/base/intrusive_list.h"
#include "storage/io/clock.h"
#include "storage/io/timers.h"

#include <cstdint>
#include <deque>
#include <map>
#include <vector>

namespace millrace {

// Waits until its client has room for data. In at most one list at a time, this one or its owner's
// own.
class RoomWaiter : public ListLink {
 public:
  // There is room now; taken out of the line before.
  virtual void on_room() = 0;

 protected:
  ~RoomWaiter() = default;
};

class Clients {
 public:
  Clients(const ShardEnvironment& environment, const BrokerLimits& limits);
  Clients(const Clients&) = delete;
  Clients& operator=(const Clients&) = delete;

  // -- replies
  void send(ClientHandle client, std::uint64_t request_id, ReplyBody body);
  void refuse(ClientHandle client, std::uint64_t request_id, Error error);

  // -- room for data
  // Bytes that may be read for this client now; 0: join the line.
  std::size_t room(ClientHandle client) const;
  void wait_for_room(ClientHandle client, RoomWaiter& waiter);
  // Bytes that are being read for it. A reservation ends before its reply is sent.
  void reserve(ClientHandle client, std::size_t bytes);
  void release(ClientHandle client, std::size_t bytes);

  // -- life
  void mark_gone(ClientHandle client);
  // Clients that went since the last call. Their entries are freed by this call, waiters leave
  // their lines.
  std::vector<ClientHandle> take_gone();
  bool has_gone() const { return !gone_.empty(); }

  // -- the turn
  // Retries what waits and lets waiters go on. Answers whether work is left that needs no event.
  bool turn();
  bool has_queued() const { return !busy_.empty(); }
  std::size_t size() const { return clients_.size(); }
  std::uint64_t held_bytes() const { return held_bytes_; }
  // Held here, and taken by the port but not by the network.
  std::uint64_t total_bytes() const { return held_bytes_ + environment_.clients.pinned_bytes(); }
  // Of one client: queued and reserved.
  std::uint64_t held_bytes(ClientHandle client) const;

 private:
  struct Queued {
    Reply reply;
    std::size_t bytes = 0;
  };
  struct Client {
    std::deque<Queued> queue;
    std::size_t held_bytes = 0;
    IntrusiveList<RoomWaiter> line;
    bool busy = false;     // in busy_
    bool in_line = false;  // in lines_
    bool gone = false;
  };
  using Entries = std::map<ClientHandle, Client>;

  Client& entry(ClientHandle client);
  std::uint64_t all_max(std::uint64_t held) const;
  Result<void> check_room(ClientHandle client, std::size_t bytes) const;
  void forget_if_idle(ClientHandle client);
  void keep(ClientHandle client, Reply&& reply);
  void drop(const Reply& reply);
  void retry(ClientHandle client);
  void note_line(ClientHandle client, Client& state);
  bool serve_lines();
  void hold(Client& client, std::size_t bytes);
  void let_go(Client& client, std::size_t bytes);

  const ShardEnvironment& environment_;
  const BrokerLimits& limits_;
  Entries clients_;
  std::deque<ClientHandle> busy_;   // each once
  std::deque<ClientHandle> lines_;  // clients with waiters; each once
  std::vector<ClientHandle> gone_;
  std::uint64_t held_bytes_ = 0;
  Timer retry_timer_;  // only wakes the loop
};

}  // namespace millrace
